"""A .npy of many rows, written in order and read in blocks: never whole in memory.

Not mapped, since the pages of a map count as memory of the process.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from stc_core.activations.store import check_space
from stc_core.files import replacing

BLOCK_BYTES = 1 << 27
_MOST_ROWS = 8192


def block_rows(width: int) -> int:
    """Rows of a block of that width: 128 MB, but 8,192 rows at most."""
    return max(1, min(_MOST_ROWS, BLOCK_BYTES // (4 * max(1, width))))


class Rows(NamedTuple):
    """`n` float32 rows of `width` values in the file at `path`."""

    path: Path
    n: int
    width: int

    def blocks(self) -> Iterator[tuple[slice, Float[np.ndarray, "some width"]]]:
        """All rows in order, some at a time, with their places."""
        size = block_rows(self.width)
        with self.path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            assert (shape, dtype) == ((self.n, self.width), np.float32), (shape, dtype)
            for start in range(0, self.n, size):
                stop = min(start + size, self.n)
                block = np.fromfile(file, dtype, (stop - start) * self.width)
                yield slice(start, stop), block.reshape(stop - start, self.width)


def write_rows(
    path: Path,
    blocks: Iterable[Float[np.ndarray, "_ width"]],
    *,
    n: int,
    width: int,
) -> Rows:
    """The rows of all blocks, in order, as np.save would write them.

    The file is there at the end or not at all. Raises StcError if the disk is full,
    before the first block is made.
    """
    check_space(path.parent, 4 * n * width)
    header = {"descr": "<f4", "fortran_order": False, "shape": (n, width)}
    done = 0
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            np.ascontiguousarray(block, "<f4").tofile(file)
            done += len(block)
        assert done == n, (done, n)
    return Rows(path, n, width)
