"""Files written whole or not at all, and JSON that any program can read."""

import errno
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
from pydantic import BaseModel
from safetensors import SafetensorError

from stc_core.errors import StcError

LOG_TAIL_BYTES = 65536
_TEMPORARY = re.compile(r"\.(\d+)-\d+\..+")
"""The names of what is written aside: `.PROCESS-THREAD.NAME`."""


def temporary_path(path: Path) -> Path:
    """A hidden path beside `path` that only this thread uses.

    `remove_leftovers` removes what a killed process left there.
    """
    # The suffix stays at the end: writers choose their format by it.
    return path.with_name(f".{os.getpid()}-{threading.get_ident()}.{path.name}")


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A path to write to, which replaces `path` at the end.

    The replacement is atomic; after an error `path` is as it was. With `durable` it
    also outlives a loss of power.
    """
    temporary = temporary_path(path)
    try:
        yield temporary
        if durable:
            sync(temporary)
        temporary.replace(path)
        if durable:
            sync(path.parent)
    except (OSError, SafetensorError) as error:
        raise write_error(path, error) from error
    finally:
        with suppress(OSError):  # a read-only folder: the error above says so
            temporary.unlink(missing_ok=True)


@contextmanager
def working_folder(path: Path) -> Iterator[Path]:
    """A new hidden folder beside `path`, which is removed at the end.

    Those that killed processes left beside it for the same `path` are removed, too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".*-*.{path.name}.*"):
        writer = _TEMPORARY.fullmatch(left.name)
        if writer and not psutil.pid_exists(int(writer[1])):
            shutil.rmtree(left, ignore_errors=True)
    prefix = f"{temporary_path(path).name}."
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=prefix) as made:
        yield Path(made)


def is_temporary(path: Path) -> bool:
    """True for a path from `temporary_path`."""
    return _TEMPORARY.fullmatch(path.name) is not None


def sync(path: Path) -> None:
    """Bring the content of a file, or the names in a folder, to the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def sync_tree(folder: Path) -> None:
    """Bring all files under `folder`, and their names, to the disk; StcError if it is
    full."""
    try:
        for directory, _, names in os.walk(folder):
            for name in sorted(names):
                with suppress(FileNotFoundError):  # another process may remove its own
                    sync(Path(directory) / name)
            sync(Path(directory))
    except OSError as error:
        raise write_error(folder, error) from error


def remove_leftovers(folder: Path, pattern: str = "**/.*-*.*") -> None:
    """Remove what killed processes were writing under `folder`.

    Call it only where no other thread of this process writes what fits the `pattern`.
    """
    for path in list(folder.glob(pattern)):
        writer = _TEMPORARY.fullmatch(path.name)
        pid = int(writer[1]) if writer else None
        if pid is None or (pid != os.getpid() and psutil.pid_exists(pid)):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder and those above it unless they exist; StcError if that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(path, error) from error


_OF_THE_MACHINE = {
    errno.ENOSPC: "Free some disk space.",
    errno.EDQUOT: "Free some of the disk space that you may use.",
    errno.EROFS: "Choose a folder that may be written; $STC_HOME names that of runs.",
    errno.EACCES: "Change the rights of the file, or choose another folder.",
    errno.EPERM: "Change the rights of the file, or choose another folder.",
    errno.EIO: "Check the disk, or choose a folder on another one.",
    errno.EMFILE: "Close other programs, or allow more open files (ulimit -n).",
    errno.ENFILE: "Close other programs: too many files are open.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
}
"""By its number: the remedy for an error of the machine, which is no bug of ours."""
_OF_THE_PATH = {
    errno.ENOENT: "Make its folder, or choose another one.",
    errno.ENOTDIR: "A part of the path is a file; choose another folder.",
    errno.EEXIST: "A file has this name already; choose another one.",
    errno.EISDIR: "A folder has this name already; choose another one.",
}
"""The same for a path that cannot be written, wherever it is named."""


def write_error(path: Path, error: Exception) -> StcError:
    """The error for a file that cannot be written."""
    number = error.errno if isinstance(error, OSError) else None
    usual = "Free some disk space or choose another folder."
    return StcError(
        f"cannot write {str(path)!r}",
        got=getattr(error, "strerror", None) or str(error),
        remedy=(_OF_THE_MACHINE | _OF_THE_PATH).get(number or 0, usual),
    )


def machine_error(error: BaseException) -> StcError | None:
    """The sentence for a full or read-only disk, missing rights and the like.

    None for any other error. It is for the outermost place that catches errors, where
    what was being written is known by the error alone.
    """
    if not isinstance(error, OSError) or error.errno not in _OF_THE_MACHINE:
        return None
    return StcError(
        "this machine" if error.filename is None else f"file {str(error.filename)!r}",
        got=error.strerror or str(error),
        remedy=_OF_THE_MACHINE[error.errno],
    )


def write_json(path: Path, value: Any, *, durable: bool = False) -> None:
    """Write the value as JSON, whole or not at all; see `replacing`."""
    with replacing(path, durable=durable) as temporary:
        text = json.dumps(
            json_value(value), indent=1, allow_nan=False, ensure_ascii=False
        )
        temporary.write_text(text + "\n", encoding="utf-8")


def json_value(value: Any) -> Any:
    """`value` in JSON's own types; a number that is not finite becomes None.

    Dates and times become ISO text.
    """
    if isinstance(value, BaseModel):
        return json_value(value.model_dump(mode="json"))
    if isinstance(value, dict):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return json_value(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value) if isinstance(value, Path) else value


def read_text(path: Path) -> str:
    """The text of a run's file; StcError if it cannot be read.

    The mark with which some editors begin a file is no part of it.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise StcError(
            str(path), expected="a readable file of a run", got=str(error)
        ) from error


def decode_json(content: str | bytes) -> Any:
    """The value in the JSON `content`; ValueError if it is not JSON, or too deep."""
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("objects or lists too deep inside each other") from error


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a run's file; StcError if it is damaged."""
    try:
        value = decode_json(read_text(path))
    except ValueError as error:
        value = error
    if not isinstance(value, dict):
        raise StcError(
            str(path),
            expected="a JSON object",
            got=str(value),
            remedy="The file is damaged; train the run again.",
        )
    return value


def folder_bytes(folder: Path) -> int:
    """The size of all files under `folder`; a file that vanishes meanwhile counts 0."""
    total = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(directory) / name).lstat().st_size
    return total


def read_tail(path: Path, n_lines: int = 30) -> str:
    """The last lines of a log; empty if there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return "\n".join(lines[-n_lines:])


class FileHash(NamedTuple):
    """The size of a file in bytes, and the sha256 of its content."""

    n_bytes: int
    sha256: str


def hash_file(path: Path) -> FileHash:
    """The size and the sha256 of a file on disk."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileHash(path.stat().st_size, digest)
