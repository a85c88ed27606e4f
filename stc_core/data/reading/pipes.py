"""A table that is no file yet: a pipe is copied to disk, a data set downloaded.

"-" is the standard input.
"""

import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from stc_core.data.reading.hub_table import hub_table_file, is_hub_table
from stc_core.errors import StcError

STDIN = "-"


def is_stream(path: str | Path) -> bool:
    """Whether the bytes at `path` can be read only once: a pipe, a FIFO, a terminal."""
    if str(path) == STDIN:
        return True
    if is_hub_table(path):
        return False
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def source_name(path: str | Path) -> str:
    """The table's name in messages: a file's name, or a pipe as it was typed."""
    if str(path) == STDIN:
        return "standard input"
    if is_hub_table(path):
        return str(path)
    return str(path) if is_stream(path) else Path(path).name


@contextmanager
def regular_file(path: str | Path) -> Iterator[Path]:
    """A file with the bytes of `path` that can be read any number of times.

    A file on disk is used itself. A pipe is copied to the folder for temporary files,
    and the copy is removed at the end. A data set of the Hub is downloaded and kept.
    """
    if is_hub_table(path):
        yield hub_table_file(str(path))
        return
    if not is_stream(path):
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="stc-") as folder:
        copy = Path(folder) / "table"
        with _open_stream(path) as stream, copy.open("wb") as out:
            try:
                shutil.copyfileobj(stream, out, 1 << 20)
                out.flush()
            except OSError as error:
                raise StcError(
                    f"{source_name(path)}: cannot be copied to {folder}",
                    got=error.strerror or str(error),
                    remedy="Free some disk space, or name a larger disk in TMPDIR.",
                ) from error
        yield copy


@contextmanager
def _open_stream(path: str | Path) -> Iterator[BinaryIO]:
    """The bytes of a pipe or of the standard input."""
    if str(path) == STDIN:
        if sys.stdin is None:
            raise StcError("standard input", expected="a table", got="it is closed")
        yield sys.stdin.buffer
        return
    try:
        stream = Path(path).open("rb")
    except OSError as error:
        raise StcError(
            f"{path}: cannot be opened ({error.strerror})",
            remedy="Check that you may read it.",
        ) from error
    with stream:
        yield stream
