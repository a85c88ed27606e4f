"""How much of a file is read: bounds that no honest table reaches.

Each of them keeps the time and the memory of a hostile file in proportion to its size.
"""

import gzip
import io
from collections.abc import Collection
from typing import Any, BinaryIO

from stc_core.errors import StcError

MOST_TABLE_COLUMNS = 5_000
MOST_ROW_CHARS = 1 << 24
"""The most characters of one row, one line or one JSON record."""
MOST_TIMES_PACKED = 100
"""A gzip file may unpack to so many times its size; text rarely exceeds 20."""
FREE_BYTES = 1 << 25
"""So many unpacked bytes are never too many."""


def check_width(names: Collection[str], name: str) -> None:
    """StcError for a table with too many columns; `name` is that of the file."""
    if len(names) > MOST_TABLE_COLUMNS:
        raise StcError(
            f"{name}, header",
            expected=f"at most {MOST_TABLE_COLUMNS:,} columns",
            got=f"{len(names):,}",
            remedy="Keep the columns with the text, the labels and the names of rows.",
        )


def too_long(where: str) -> StcError:
    """The error for a row, a line or a record that is too long; `where` it begins."""
    return StcError(
        where,
        expected=f"a row of at most {MOST_ROW_CHARS:,} characters",
        got="a longer one",
        remedy="Close a quote that stays open, or split the long text into rows.",
    )


class Unpacked(io.RawIOBase):
    """The unpacked bytes of a gzip file; StcError once they are far too many.

    A small file can hold gigabytes of one repeated byte, made to fill the memory.
    """

    def __init__(self, file: BinaryIO, name: str, packed_bytes: int) -> None:
        super().__init__()
        self._unpacked = gzip.GzipFile(fileobj=file)
        self._name = name
        self._most = max(FREE_BYTES, MOST_TIMES_PACKED * packed_bytes)
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        n_bytes = self._unpacked.readinto(buffer)
        self._read += n_bytes
        if self._read > self._most:
            raise StcError(
                f"{self._name}: the gzip archive unpacks to more than "
                f"{self._most:,} bytes",
                expected=f"at most {MOST_TIMES_PACKED} times its own size",
                remedy="If it is a table all the same, unpack it first.",
            )
        return n_bytes
