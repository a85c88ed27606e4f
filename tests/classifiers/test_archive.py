"""A bundle is unpacked as it was packed, and anything else is refused in a sentence."""

import copy
import hashlib
import json
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import pytest

from stc_core.classifiers.archive import (
    MANIFEST,
    is_safe_path,
    opened_folder,
    read_manifest,
    remove_unpacked,
    unpack_bundle,
    write_archive,
)
from stc_core.errors import StcError
from stc_core.files import hash_file
from stc_core.paths import bundles_folder

Member = tuple[ZipInfo, bytes]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("STC_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle with the files that a run of one neuron would have."""
    folder = tmp_path / "packed"
    (folder / "model").mkdir(parents=True)
    (folder / "config.json").write_text('{"format": 1}')
    about = {"backbone": {"name": "../backbone"}}
    (folder / "model" / "classifier.json").write_text(json.dumps(about))
    (folder / "model" / "head.safetensors").write_bytes(bytes(range(256)) * 40)
    path = tmp_path / "good.zip"
    write_archive(path, folder, "topic")
    return path


def members_of(path: Path) -> list[Member]:
    with ZipFile(path) as archive:
        return [(member, archive.read(member)) for member in archive.infolist()]


def packed(path: Path, members: list[Member]) -> Path:
    """An archive of these members, as they are."""
    with ZipFile(path, "w") as archive:
        for member, content in members:
            archive.writestr(member, content)
    return path


def plain(name: str, content: bytes = b"{}", **fields: Any) -> Member:
    member = ZipInfo(name)
    member.external_attr = 0o100644 << 16
    for field, value in fields.items():
        setattr(member, field, value)
    return member, content


def told(members: list[Member], **changes: Any) -> list[Member]:
    """The members, with these changes to what the manifest says."""
    return [
        (m, json.dumps({**json.loads(c), **changes}).encode())
        if m.filename == MANIFEST
        else (m, c)
        for m, c in members
    ]


def with_file(members: list[Member], added: Member) -> list[Member]:
    """The members and a further one, which the manifest names with its true hash."""
    member, content = added
    (manifest,) = (json.loads(c) for m, c in members if m.filename == MANIFEST)
    files = manifest["files"] | {
        member.filename: {
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    }
    return [*told(members, files=files), added]


def swapped(members: list[Member], name: str, content: bytes) -> list[Member]:
    return [(m, content if m.filename == name else c) for m, c in members]


HEAD = "model/head.safetensors"
REFUSED: dict[str, tuple[Callable[[list[Member]], list[Member]], str]] = {
    "no manifest": (lambda m: m[1:], "an archive without manifest.json"),
    "another format": (lambda m: told(m, format="onnx"), "of the format 'onnx'"),
    "another version": (lambda m: told(m, version=9), "got version 9"),
    "no files": (lambda m: told(m, files=None), "a manifest.json of something else"),
    "a list": (
        lambda m: swapped(m, MANIFEST, b"[]"),
        "a manifest.json of something else",
    ),
    "a run that climbs": (lambda m: told(m, run="../x"), "a run called '../x'"),
    "a run without a name": (lambda m: told(m, run=""), "a run called ''"),
    "a climbing name": (lambda m: with_file(m, plain("../x.json")), "'../x.json'"),
    "a climb inside": (
        lambda m: with_file(m, plain("model/../../x.json")),
        "'model/../../x.json'",
    ),
    "an absolute name": (lambda m: with_file(m, plain("/x.json")), "'/x.json'"),
    "a drive": (lambda m: with_file(m, plain("C:x.json")), "'C:x.json'"),
    "another separator": (
        lambda m: with_file(m, plain("a\\..\\x.json")),
        r"'a\\..\\x.json'",
    ),
    "a hidden file": (lambda m: with_file(m, plain(".lock.json")), "'.lock.json'"),
    "a folder": (lambda m: [*m, plain("model/x/")], "'model/x/'"),
    "a link": (
        lambda m: with_file(
            m, plain("x.json", external_attr=(stat.S_IFLNK | 0o777) << 16)
        ),
        "x.json, which is a link",
    ),
    "code": (lambda m: with_file(m, plain("x.py")), "x.py, a file that no bundle has"),
    "a pickle": (
        lambda m: with_file(m, plain("backbone/pytorch_model.bin")),
        "pytorch_model.bin, a file that no bundle has",
    ),
    "compressed": (
        lambda m: with_file(
            m, plain("x.json", b" " * 9_000_000, compress_type=ZIP_DEFLATED)
        ),
        "x.json, compressed or encrypted",
    ),
    "a file too many": (lambda m: [*m, plain("x.json")], "a further file x.json"),
    "a file too few": (lambda m: m[:-1], f"an archive without {HEAD}"),
    "another size": (
        lambda m: swapped(m, HEAD, b"short"),
        f"{HEAD} of 5 bytes",
    ),
    "another content": (
        lambda m: swapped(m, HEAD, bytes(256 * 40)),
        f"another {HEAD}",
    ),
    "a model elsewhere": (
        lambda m: with_file(
            m, plain("model/tree.json", b'{"backbone": {"name": "/etc"}}')
        ),
        "a run that reads another model, '/etc'",
    ),
    "a base elsewhere": (
        lambda m: with_file(m, plain("backbone/changes.json", b'{"base": "gpt2"}')),
        "a run that reads another model, 'gpt2'",
    ),
    "a long manifest": (
        lambda m: told(m, more="x" * (1 << 20)),
        "manifest.json of 1,0",
    ),
    "many files": (
        lambda m: [*m, *(plain(f"{n}.json") for n in range(1000))],
        "1004 files",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_bundle_is_refused(kind: str, bundle: Path, tmp_path: Path):
    """In one sentence, and nothing of it stays on the disk."""
    change, reason = REFUSED[kind]
    path = packed(tmp_path / "bad.zip", change(members_of(bundle)))
    with pytest.raises(StcError, match=re.escape(reason)) as error:
        unpack_bundle(path, tmp_path / "out")
    assert "bad.zip" in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "out").exists() and not (tmp_path / "x.json").exists()
    with pytest.raises(StcError):
        opened_folder(path)
    assert not bundles_folder().exists() or not [*bundles_folder().iterdir()]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused(bundle: Path, tmp_path: Path):
    members = members_of(bundle)
    path = packed(tmp_path / "bad.zip", [*members, members[-1]])
    with pytest.raises(StcError, match=f"{HEAD} twice"):
        read_manifest(path)


def test_files_that_share_their_bytes_are_refused(bundle: Path, tmp_path: Path):
    """An archive may list the same bytes often, so that it unpacks to far more."""
    members = members_of(bundle)
    content = bytes(100_000)
    for n in range(30):
        members = with_file(members, plain(f"{n}.json", content))
    path = packed(tmp_path / "bad.zip", members[:-29])
    with ZipFile(path, "a") as archive:
        first = archive.getinfo("0.json")
        for n in range(1, 30):
            other = copy.copy(first)
            other.filename = f"{n}.json"
            archive.filelist.append(other)
        vars(archive)["_didModify"] = True
    assert path.stat().st_size < 200_000
    with pytest.raises(StcError, match=r"an archive that unpacks to 3,0"):
        unpack_bundle(path, tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"text,label\n", b"PK half"])
def test_another_kind_of_file_is_refused(content: bytes, tmp_path: Path):
    path = tmp_path / "x.zip"
    path.write_bytes(content)
    with pytest.raises(StcError, match="another kind of file"):
        opened_folder(path)


def test_a_file_that_is_cut_off_is_refused(bundle: Path, tmp_path: Path):
    path = tmp_path / "half.zip"
    path.write_bytes(bundle.read_bytes()[:-500])
    with pytest.raises(StcError, match=r"cut off or damaged\. Copy or download"):
        unpack_bundle(path, tmp_path / "out")


def test_a_flipped_bit_is_found(bundle: Path, tmp_path: Path):
    data = bytearray(bundle.read_bytes())
    data[data.index(bytes(range(200, 256)))] ^= 1
    path = tmp_path / "bad.zip"
    path.write_bytes(data)
    with pytest.raises(StcError, match="expected the files that its manifest"):
        unpack_bundle(path, tmp_path / "out")


def test_a_bundle_is_unpacked_as_it_was_packed(bundle: Path, tmp_path: Path):
    manifest = unpack_bundle(bundle, tmp_path / "out")
    assert manifest.run == "topic" and len(manifest.files) == 3
    for name, file in manifest.files.items():
        assert hash_file(tmp_path / "out" / name) == file
        assert hash_file(tmp_path / "packed" / name) == file


def test_the_same_files_give_the_same_bytes(bundle: Path, tmp_path: Path):
    (tmp_path / "packed" / "config.json").touch()
    write_archive(tmp_path / "again.zip", tmp_path / "packed", "topic")
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()
    with ZipFile(bundle) as archive:
        assert {m.compress_type for m in archive.infolist()} == {ZIP_STORED}


def test_a_bundle_is_opened_once(bundle: Path, tmp_path: Path):
    """A copy of it, with another name, is the same one; a folder is itself."""
    folder = opened_folder(bundle)
    assert folder.parent.parent == bundles_folder() and folder.name == "topic"
    before = (folder / "config.json").stat().st_mtime_ns
    moved = bundle.rename(tmp_path / "other")
    assert opened_folder(moved) == folder
    assert (folder / "config.json").stat().st_mtime_ns == before
    assert opened_folder(str(folder)) == folder


def test_what_was_unpacked_can_be_removed(bundle: Path):
    assert remove_unpacked() == 0
    folder = opened_folder(bundle)
    n_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert remove_unpacked() == n_bytes and not folder.exists()
    assert opened_folder(bundle) == folder and folder.is_dir()


def test_a_disk_without_space_is_told(bundle: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: _Usage())
    with pytest.raises(StcError, match=r"bytes of free disk space; got 9"):
        unpack_bundle(bundle, tmp_path / "out")
    assert not (tmp_path / "out").exists()


class _Usage:
    free = 9


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a.json", True),
        ("model/a b.json", True),
        ("modèle/å.json", True),
        ("a..json", True),
        ("a/./b", False),
        ("a//b", False),
        ("a.", False),
        ("a ", False),
        ("a\x00.json", False),
        ("a\nb", False),
    ],
)
def test_names_that_mean_the_same_everywhere_are_safe(name: str, safe: bool):
    assert is_safe_path(name) is safe
