"""A .npy file of many rows, written in order and read in blocks, never all in memory.

It is not memory-mapped, since mapped pages count as memory of the process.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.activations.store import check_space
from stc_core.files import replacing

BLOCK_BYTES = 1 << 27
_MOST_ROWS = 8192


def block_rows(width: int) -> int:
    """The rows of a block of this width: 128 MB, but at most 8,192 rows."""
    return max(1, min(_MOST_ROWS, BLOCK_BYTES // (4 * max(1, width))))


class RowStream:
    """The rows of a series of blocks, to be taken in any numbers."""

    def __init__(self, blocks: Iterator[Float[np.ndarray, "_ width"]]) -> None:
        self._blocks, self._left = blocks, np.empty((0, 0), np.float32)

    def take(self, n: int) -> Float[np.ndarray, "n width"]:
        """The next `n` rows; there must be as many, and `n` must be 1 or more."""
        parts: list[np.ndarray] = []
        while n:
            if not len(self._left):
                self._left = next(self._blocks)
            parts.append(self._left[:n])
            self._left = self._left[n:]
            n -= len(parts[-1])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


class RowFile(NamedTuple):
    """The `n` float32 rows of `width` values in the file at `path`."""

    path: Path
    n: int
    width: int

    def blocks(self) -> Iterator[tuple[slice, Float[np.ndarray, "some width"]]]:
        """Yield all rows in order, block by block, each with its slice of the rows."""
        size = block_rows(self.width)
        with self.path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            assert (shape, dtype) == ((self.n, self.width), np.float32), (shape, dtype)
            for start in range(0, self.n, size):
                stop = min(start + size, self.n)
                block = np.fromfile(file, dtype, (stop - start) * self.width)
                yield slice(start, stop), block.reshape(stop - start, self.width)

    def blocks_of(
        self, rows: Int[np.ndarray, " k"]
    ) -> Iterator[tuple[Int[np.ndarray, " some"], Float[np.ndarray, "some width"]]]:
        """Yield the values of these ascending rows, block by block, after their rows.

        Which rows share a block depends on `rows` alone, not on those in between.
        """
        size, stream = block_rows(self.width), RowStream(self._picked(rows))
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            yield some, stream.take(len(some))

    def _picked(
        self, rows: Int[np.ndarray, " k"]
    ) -> Iterator[Float[np.ndarray, "_ width"]]:
        for part, X in self.blocks():
            first, last = np.searchsorted(rows, [part.start, part.stop])
            yield X[rows[first:last] - part.start]


def write_rows(
    path: Path,
    blocks: Iterable[Float[np.ndarray, "_ width"]],
    *,
    n: int,
    width: int,
) -> RowFile:
    """Write the rows of all blocks, in order, as np.save would write them.

    The file appears whole or not at all. If the disk is too small, StcError is raised
    before the first block is made.
    """
    check_space(path.parent, 4 * n * width)
    header = {"descr": "<f4", "fortran_order": False, "shape": (n, width)}
    n_written = 0
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            np.ascontiguousarray(block, "<f4").tofile(file)
            n_written += len(block)
        assert n_written == n, (n_written, n)
    return RowFile(path, n, width)
