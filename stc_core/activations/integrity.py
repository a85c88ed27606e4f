"""Whether a store of features is whole: sizes of its files, checksums of its rows."""

import os
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from stc_core.errors import StcError
from stc_core.files import read_json, remove_leftovers

FRAMES = "frames.npz"
SUMMED_BYTES = 1 << 20
"""One checksum is of so many bytes of rows: what is read first is checked first."""


class DamagedFeatures(StcError):
    """Features on disk were damaged and are set aside; read again they are whole."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"features {path.name}",
            got=f"damaged files ({reason}), which are set aside",
            remedy="Start again: the texts are read again.",
        )
        self.path, self.reason = path, reason

    def __reduce__(self):
        return type(self), (self.path, self.reason)


def rows_per_block(row_bytes: int) -> int:
    """The rows of a block, each of `row_bytes` bytes."""
    return max(1, SUMMED_BYTES // max(1, row_bytes))


def add_rows(sums: list[int], start: int, data: memoryview, *, row_bytes: int) -> None:
    """Bring the checksums of blocks up to date after the rows before `start`.

    `data` are the bytes of the next rows, `sums` the CRC-32 of each block so far.
    """
    size = rows_per_block(row_bytes)
    while data:
        block, room = start // size, size - start % size
        piece, data = data[: room * row_bytes], data[room * row_bytes :]
        if block == len(sums):
            sums.append(0)
        sums[block] = zlib.crc32(piece, sums[block])
        start += len(piece) // row_bytes


def array_sums(values: np.ndarray) -> list[int]:
    """The checksums of all rows of an array."""
    sums: list[int] = []
    row_bytes = values[:1].nbytes
    size = rows_per_block(row_bytes)
    for row in range(0, len(values), size):
        data = np.ascontiguousarray(values[row : row + size]).data.cast("B")
        add_rows(sums, row, data, row_bytes=row_bytes)
    return sums


class BlockChecks:
    """Checks each block of a file when it is first read, against known checksums."""

    def __init__(self, sums: list[int]) -> None:
        self.sums = sums
        self._left = np.ones(len(sums), bool)

    def damaged_block(self, stored: np.ndarray, rows: Int[np.ndarray, " k"]) -> str:
        """The first damaged block that holds one of `rows`; empty if all are whole."""
        if not self._left.any() or not len(rows):
            return ""
        size = rows_per_block(stored[:1].nbytes)
        wanted = np.zeros(len(self._left), bool)
        wanted[np.asarray(rows) // size] = True
        for block in np.flatnonzero(wanted & self._left).tolist():
            first = block * size
            piece = np.ascontiguousarray(stored[first : first + size])
            if zlib.crc32(piece.data.cast("B")) != self.sums[block]:
                return f"rows {first:,} to {first + len(piece) - 1:,}"
            self._left[block] = False
        return ""


def share_done(path: Path) -> float:
    """The share of a store's rows that are safe; 0 if there is no store."""
    if not (path / "journal.json").exists():
        return 0.0
    n = read_json(path / "meta.json")["n_unique"]
    return read_json(path / "journal.json")["rows_done"] / n


def damage_of(path: Path) -> str | None:
    """What is missing or has another size in the store at `path`; None if nothing.

    A part may be missing because someone deleted it, or because the power failed while
    it was written. The texts and their order, which are small, are read and checked.
    """
    try:
        meta, journal = read_json(path / "meta.json"), read_json(path / "journal.json")
        shapes = {f"{name}.npy": (meta["n_unique"], meta["widths"][name])
                  for name in meta["widths"]}  # fmt: skip
        shapes |= {"order.npy": (meta["n_unique"],), "texts.npy": (meta["n"],)}
        n_done, sums = journal["rows_done"], journal.get("sums", {})
        is_framed = n_done > 0 and meta["dtype"] == "float16"
    except (StcError, KeyError, TypeError) as error:
        return str(error)
    for name, shape in shapes.items():
        if fault := _wrong_size(path / name, shape):
            return fault
    if is_framed and not (path / FRAMES).exists():
        return f"{FRAMES} is missing"
    if "order" in sums and _order_sums(path, n_done) != sums["order"]:
        return "order.npy is damaged"
    if "texts_sum" in meta and texts_sum(path) != meta["texts_sum"]:
        return "texts.npy is damaged"
    return None


def _order_sums(path: Path, n_done: int) -> list[int]:
    return array_sums(np.load(path / "order.npy", mmap_mode="r")[:n_done])


def texts_sum(path: Path) -> int:
    """The checksum of the file that says which row each text has."""
    return zlib.crc32((path / "texts.npy").read_bytes())


def _wrong_size(path: Path, shape: tuple[int, ...]) -> str | None:
    """What is wrong with the size of an array's file; None if nothing is."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read: Any = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }.get(version)
            found, _, dtype = read(file)
            wanted = file.tell() + int(np.prod(shape)) * dtype.itemsize
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return f"{path.name} is missing"
    except (ValueError, TypeError, OSError):
        return f"{path.name} has no header"
    if found != shape or size != wanted:
        return f"{path.name} has {size:,} bytes instead of {wanted:,}"
    return None


def set_aside(path: Path) -> None:
    """Hide a damaged store; it is removed with other old hidden folders."""
    with suppress(FileNotFoundError):  # another process has already done it
        target = path.with_name(f".damaged-{os.getpid()}-{path.name}")
        path.rename(target)
        os.utime(target)


def is_set_aside(path: Path) -> bool:
    """Whether a damaged store that lay at `path` was set aside."""
    return any(path.parent.glob(f".damaged-*-{path.name}"))


def clear_damaged(folder: Path, key: str) -> list[str]:
    """Set damaged stores of `key` aside, and say which; the caller has their lock.

    What killed processes were writing there is removed.
    """
    remove_leftovers(folder, f".*-*.{key}-*")
    said = []
    for path in sorted(folder.glob(f"{key}-*/")):
        remove_leftovers(path)
        if (reason := damage_of(path)) is not None:
            set_aside(path)
            said.append(f"Features on disk were damaged and are read again: {reason}.")
    return said
