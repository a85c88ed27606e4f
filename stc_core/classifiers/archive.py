"""The archive of a run that needs nothing else: its format, its checks, its unpacking.

A bundle is a zip archive without compression, with a manifest that names the size and
the sha256 of each file. Nothing in it is ever executed or unpickled.
"""

import hashlib
import json
import os
import re
import shutil
import struct
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from stc_core.errors import StcError
from stc_core.files import (
    FileHash,
    decode_json,
    folder_bytes,
    hash_file,
    working_folder,
    write_error,
)
from stc_core.paths import bundles_folder

MANIFEST = "manifest.json"
BUNDLE_FORMAT, BUNDLE_VERSION = "stc-bundle", 1
_SUFFIXES = frozenset(
    ".json .safetensors .parquet .npy .npz .md .txt .model .spm .tiktoken .codes "
    ".jinja .tokenizer".split()
)
"""Kinds of files that a bundle may have: no code and no pickle is among them."""
_MOST_FILES, _MOST_MANIFEST_BYTES = 1000, 1 << 20
_CHUNK = 1 << 20
_ZIP_FAULTS = (BadZipFile, RuntimeError, EOFError, UnicodeError, struct.error)
"""What zipfile raises for an archive that is damaged."""
_SAFE = re.compile(r"[^\x00-\x1f\\:]+")
_OTHER_FILE = "Give a file that `stc export` wrote."
_AGAIN = "Copy or download the file again, or export the run again."


class ForeignBundle(StcError):
    """The content of the file is at fault: it is no bundle, or not as it was packed."""


class Manifest(NamedTuple):
    """What a bundle says that it holds.

    `run` is the name of the folder of the run, and `files` are named by their paths in
    that folder. `key` is the sha256 of the manifest, so it identifies the content.
    """

    run: str
    files: Mapping[str, FileHash]
    key: str

    @property
    def n_bytes(self) -> int:
        return sum(file.n_bytes for file in self.files.values())


def opened_folder(path: str | Path) -> Path:
    """The folder of a run: `path` itself, or the run in the bundle at `path`.

    A bundle is unpacked once, under its key, in `bundles_folder()`. Raises StcError if
    the file is not a bundle, or not as its manifest says.
    """
    path = Path(path)
    if not path.is_file():
        return path
    manifest = read_manifest(path)
    kept = bundles_folder() / manifest.key
    if not kept.is_dir():
        _keep(path, kept, manifest.run)
    return kept / manifest.run


def classifier_folder(path: str | Path) -> Path:
    """The folder of a classifier: `path` itself, or that in the bundle at `path`."""
    path = Path(path)
    return opened_folder(path) / "model" if path.is_file() else path


def remove_unpacked() -> int:
    """Remove what was unpacked of bundles; return its bytes. The bundles stay."""
    n_bytes = folder_bytes(bundles_folder())
    shutil.rmtree(bundles_folder(), ignore_errors=True)
    return n_bytes


def _keep(path: Path, kept: Path, run: str) -> None:
    """Unpack the bundle to `kept / run`; the folder appears complete or not at all."""
    try:
        with working_folder(kept) as temporary:
            whole = temporary / kept.name
            unpack_bundle(path, whole / run)
            try:
                whole.rename(kept)
            except OSError:
                if not kept.is_dir():  # no other process was faster
                    raise
    except OSError as error:
        raise write_error(kept, error) from error


def read_manifest(path: Path) -> Manifest:
    """The manifest of the bundle at `path`; no other content is read.

    Raises StcError unless the archive has exactly the files of its manifest, with safe
    names, uncompressed and of the sizes that the manifest says.
    """
    try:
        with ZipFile(path) as archive:
            return _checked(archive, path)
    except _ZIP_FAULTS as error:
        raise _unopened(path) from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _unopened(path: Path) -> StcError:
    """The error for a file that zipfile cannot open: its first bytes tell the kind."""
    with path.open("rb") as file:
        if file.read(4) == b"PK\x03\x04":
            return _tampered(path, "an archive that is cut off or damaged")
    return _foreign(path, "another kind of file")


def unpack_bundle(path: Path, folder: Path) -> Manifest:
    """Unpack the bundle at `path` to the new folder `folder`; return its manifest.

    Each file is compared with its sha256. Raises StcError as `read_manifest` does, and
    if a file is not the one that the manifest names; `folder` is then removed.
    """
    manifest = read_manifest(path)
    folder.mkdir(parents=True)
    try:
        _check_space(path, folder, manifest.n_bytes)
        with ZipFile(path) as archive:
            for name, expected in manifest.files.items():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                _extract(archive, name, target, expected, path)
        check_own_backbone(folder, path)
    except BaseException as error:
        shutil.rmtree(folder)
        if isinstance(error, _ZIP_FAULTS):
            raise _tampered(path, f"a damaged archive ({error})") from error
        raise
    return manifest


def _check_space(path: Path, folder: Path, n_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise StcError(
            _where(path),
            expected=f"{n_bytes:,} bytes of free disk space",
            got=f"{free:,}",
            remedy="Free some disk space.",
        )


def _extract(
    archive: ZipFile, name: str, target: Path, expected: FileHash, path: Path
) -> None:
    """Copy a file out of the archive; StcError if it is not the expected one."""
    digest, n_bytes = hashlib.sha256(), 0
    with archive.open(name) as source, target.open("xb") as copy:
        while piece := source.read(_CHUNK):
            n_bytes += len(piece)
            digest.update(piece)
            copy.write(piece)
    if (n_bytes, digest.hexdigest()) != expected:
        raise _tampered(path, f"another {name}")


def check_own_backbone(folder: Path, path: Path) -> None:
    """StcError if the unpacked run reads a model that is not in its own folder."""
    named: list[tuple[Path, tuple[str, ...], str]] = [
        (folder / "model" / name, ("backbone", "name"), "../backbone")
        for name in ("classifier.json", "tree.json")
    ]
    named.append((folder / "backbone" / "changes.json", ("base",), "./base"))
    for file, keys, expected in named:
        value: Any = json.loads(file.read_bytes()) if file.is_file() else {}
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if value not in (None, expected):
            raise _foreign(path, f"a run that reads another model, {value!r}")


def _checked(archive: ZipFile, path: Path) -> Manifest:
    """The manifest of the archive, after a comparison with what the archive lists."""
    members = archive.infolist()
    listed = {member.filename: member for member in members}
    if MANIFEST not in listed:
        raise _foreign(path, f"an archive without {MANIFEST}")
    for member in members:
        _check_member(member, path)
    twice = [name for name, n in Counter(m.filename for m in members).items() if n > 1]
    if twice or len(members) > _MOST_FILES:
        raise _foreign(path, f"{twice[0]} twice" if twice else f"{len(members)} files")
    manifest = _parsed(archive.read(MANIFEST), path)
    packed = listed.keys() - {MANIFEST}
    if odd := sorted(packed ^ manifest.files.keys()):
        has = "a further file" if odd[0] in packed else "an archive without"
        raise _tampered(path, f"{has} {odd[0]}")
    for name, file in manifest.files.items():
        if listed[name].file_size != file.n_bytes:
            raise _tampered(path, f"{name} of {listed[name].file_size:,} bytes")
    unpacked = sum(member.file_size for member in members)
    if unpacked > path.stat().st_size:
        raise _foreign(path, f"an archive that unpacks to {unpacked:,} bytes")
    return manifest


def _check_member(member: ZipInfo, path: Path) -> None:
    """StcError for a name that leaves the folder, a link, code, or compressed data."""
    # The name before zipfile cut it at a zero byte and changed its separators.
    if not is_safe_path(member.orig_filename):
        raise _foreign(path, f"a file called {member.orig_filename!r}")
    kind = (member.external_attr >> 16) & 0o170000
    if kind not in (0, 0o100000):
        raise _foreign(path, f"{member.filename}, which is a link or a device")
    file = PurePosixPath(member.filename)
    if file.suffix not in _SUFFIXES and ".model" not in file.suffixes:
        raise _foreign(path, f"{member.filename}, a file that no bundle has")
    if member.compress_type != ZIP_STORED or member.flag_bits & 1:
        raise _foreign(path, f"{member.filename}, compressed or encrypted")
    if member.filename == MANIFEST and member.file_size > _MOST_MANIFEST_BYTES:
        raise _foreign(path, f"{MANIFEST} of {member.file_size:,} bytes")


def is_safe_path(name: str) -> bool:
    """Whether `name` is a plain path inside a folder, the same on all systems."""
    parts = name.split("/")
    return all(
        _SAFE.fullmatch(part) is not None
        and not part.startswith(".")
        and part == part.rstrip(" .")
        for part in parts
    )


def _parsed(content: bytes, path: Path) -> Manifest:
    """The manifest from its JSON; StcError if it is not one of this version."""
    try:
        raw = decode_json(content)
        if raw["format"] != BUNDLE_FORMAT:
            raise _foreign(path, f"an archive of the format {raw['format']!r}")
        if raw["version"] != BUNDLE_VERSION:
            raise StcError(
                _where(path),
                expected=f"a bundle of version {BUNDLE_VERSION}",
                got=f"version {raw['version']}",
                remedy="Open it with the version of STC Studio that wrote it.",
            )
        run = raw["run"]
        files = {
            name: FileHash(int(file["bytes"]), str(file["sha256"]))
            for name, file in raw["files"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, StcError):
            raise
        raise _foreign(path, f"a {MANIFEST} of something else") from error
    if not isinstance(run, str) or "/" in run or not is_safe_path(run):
        raise _foreign(path, f"a run called {run!r}")
    return Manifest(run, files, hashlib.sha256(content).hexdigest()[:32])


def write_archive(path: Path, folder: Path, run: str) -> Manifest:
    """Pack the files of `folder` into `path`; the same files give the same bytes."""
    names = sorted(
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*")
        if file.is_file()
    )
    files = {name: hash_file(folder / name) for name in names}
    content = json.dumps(
        {
            "format": BUNDLE_FORMAT,
            "version": BUNDLE_VERSION,
            "run": run,
            "files": {
                name: {"bytes": file.n_bytes, "sha256": file.sha256}
                for name, file in files.items()
            },
        },
        indent=1,
    ).encode()
    with ZipFile(path, "w", ZIP_STORED) as archive:
        with archive.open(_member(MANIFEST, len(content)), "w") as packed:
            packed.write(content)
        for name, file in files.items():
            with (
                (folder / name).open("rb") as source,
                archive.open(_member(name, file.n_bytes), "w") as packed,
            ):
                shutil.copyfileobj(source, packed, _CHUNK)
    return Manifest(run, files, hashlib.sha256(content).hexdigest()[:32])


def _member(name: str, n_bytes: int) -> ZipInfo:
    """The entry of a file, without the time and the rights of the file on disk."""
    member = ZipInfo(name)  # its time is the first of 1980
    member.create_system, member.external_attr = 3, 0o100644 << 16
    member.compress_type, member.file_size = ZIP_STORED, n_bytes
    return member


def _where(path: Path) -> str:
    return f"bundle {str(path)!r}"


def _foreign(path: Path, got: str) -> StcError:
    return ForeignBundle(
        _where(path), expected="a run packed by stc export", got=got, remedy=_OTHER_FILE
    )


def _tampered(path: Path, got: str) -> StcError:
    return ForeignBundle(
        _where(path),
        expected=f"the files that its {MANIFEST} names",
        got=got,
        remedy=_AGAIN,
    )


def _unreadable(path: Path, error: OSError) -> StcError:
    return StcError(
        _where(path),
        expected="a file that may be read",
        got=error.strerror or str(error),
        remedy=f"Look at its rights with {'icacls' if os.name == 'nt' else 'ls -l'}.",
    )
