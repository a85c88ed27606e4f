"""Pooled activations on disk: a plain .npy file for each pooled site, and a journal.

Rows lie in the order in which they were computed, so every write is one stretch. One
number, how many rows are done, is all that is needed to resume a killed extraction. In
half precision values lie in a frame: the stored value is (value - offset) / scale.
"""

import hashlib
import os
import shutil
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from filelock import FileLock
from jaxtyping import Float, Int

from stc_core.activations.integrity import (
    FRAMES,
    BlockChecks,
    DamagedFeatures,
    add_rows,
    array_sums,
    damage_of,
    is_set_aside,
    set_aside,
    share_done,
    texts_sum,
)
from stc_core.errors import StcError
from stc_core.files import (
    read_json,
    replacing,
    temporary_path,
    write_error,
    write_json,
)
from stc_core.types import PooledSite

_FORMAT = 2
CHECKPOINT_S = 20.0
"""A killed extraction loses at most so many seconds of work."""
COPY_ROWS = 1024
STORE_DTYPES = ("float16", "float32")


class Frame(NamedTuple):
    """The offset and the scale of a pooled site's values.

    Half precision keeps 11 bits of a value. If a neuron varies by a thousandth of its
    mean, only one or two of them would describe its variation; with the mean as offset
    all do. Values far smaller than the spread of the site, such as what rounding leaves
    of 1 - 1 in a GELU, become 0.
    """

    offset: Float[np.ndarray, " width"]
    scale: float


class FeatureStore:
    """The features of `n` texts, all extracted; any pooled site can be read."""

    def __init__(self, path: Path, *, said: Sequence[str] = ()) -> None:
        """Open the finished store at `path`; `said` are further notes on it."""
        meta, journal = read_json(path / "meta.json"), read_json(path / "journal.json")
        self.path = path
        self.n: int = meta["n"]
        self.widths = {PooledSite.parse(k): w for k, w in meta["widths"].items()}
        self.pooled_sites = tuple(self.widths)
        self.notes: tuple[str, ...] = (*said, *journal["notes"])
        sums = journal.get("sums", {})  # older stores have none
        self._checks = {name: BlockChecks(known) for name, known in sums.items()}
        self._damage: str | None = None  # what a reader of this store found damaged
        self._frames = self._whole_frames()
        order = np.load(path / "order.npy")
        position = np.empty_like(order)
        position[order] = np.arange(len(order))
        self._rows = position[np.load(path / "texts.npy")]
        touch(path)

    def read(
        self,
        pooled_site: PooledSite,
        rows: Int[np.ndarray, " k"] | Sequence[int] | None = None,
    ) -> Float[np.ndarray, "k width"]:
        """Float32 features of the texts at `rows` (None: all), in that order.

        Each block of rows is checked when it is first read. DamagedFeatures if it is
        not as it was written: the store is then set aside.
        """
        if pooled_site not in self.widths:
            raise StcError(
                f"pooled site {pooled_site}",
                expected=f"one of {', '.join(map(str, self.pooled_sites))}",
            )
        touch(self.path)
        try:
            stored = np.load(_file(self.path, pooled_site), mmap_mode="r")
        except FileNotFoundError as error:
            raise self._missing() from error
        except ValueError as error:  # it was truncated while in use
            raise self._damaged(f"{pooled_site}.npy is truncated") from error
        wanted = self._rows if rows is None else self._rows[np.asarray(rows, int)]
        checks = self._checks.get(str(pooled_site))
        if checks and (place := checks.damaged_block(stored, wanted)):
            raise self._damaged(f"{place} of {pooled_site}.npy")
        out = np.take(stored, wanted, axis=0).astype(np.float32, copy=False)
        if frame := self._frames.get(pooled_site):
            out *= np.float32(frame.scale)
            out += frame.offset
        return out

    def _whole_frames(self) -> dict[PooledSite, Frame]:
        try:
            return _read_frames(self.path)
        except (ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
            raise self._damaged(f"{FRAMES} is damaged") from error

    def _damaged(self, reason: str) -> DamagedFeatures:
        # Told first: another thread may miss its file as soon as it is set aside.
        self._damage = reason
        set_aside(self.path)
        return DamagedFeatures(self.path, reason)

    def _missing(self) -> StcError:
        """Why a file is missing: another thread or process set the store aside, or
        someone deleted it."""
        if self._damage or is_set_aside(self.path):
            reason = self._damage or "another process found them damaged"
            return DamagedFeatures(self.path, reason)
        return StcError(
            f"features {self.path.name}",
            got="files that were deleted while in use",
            remedy="Start again: the features will be extracted again.",
        )


class StoreWriter:
    """The only writer of an unfinished store; `rows_done` rows are safe."""

    def __init__(self, path: Path) -> None:
        meta, journal = read_json(path / "meta.json"), read_json(path / "journal.json")
        self.path = path
        self.n: int = meta["n_unique"]
        self.widths = {PooledSite.parse(k): w for k, w in meta["widths"].items()}
        self.pooled_sites = tuple(self.widths)
        self.store_dtype: str = meta["dtype"]
        self.rows_done: int = journal["rows_done"]
        self.notes: list[str] = journal["notes"]
        # Without safe rows the frames are not needed: new ones will be made.
        self.frames = _read_frames(path) if self.rows_done else {}
        self._headers = {site: _header(_file(path, site)) for site in self.widths}
        self._order = _header(path / "order.npy")
        self._sums: dict[str, list[int]] = journal.get("sums", {})
        self._saved = time.monotonic()

    def dtype(self, pooled_site: PooledSite) -> np.dtype:
        """The dtype of a pooled site's file."""
        return self._headers[pooled_site].dtype

    def done(self) -> Int[np.ndarray, " done"]:
        """The texts whose rows are done, in the order of computing."""
        return np.load(self.path / "order.npy", mmap_mode="r")[: self.rows_done].copy()

    def frame(self, frames: Mapping[PooledSite, Frame]) -> None:
        """Set the frames of all rows; called before the first row is written."""
        assert self.rows_done == 0, self.rows_done
        parts = {f"offset {site}": frame.offset for site, frame in frames.items()}
        parts |= {f"scale {site}": frame.scale for site, frame in frames.items()}
        with replacing(self.path / FRAMES) as temporary:
            np.savez(temporary, **parts)  # pyright: ignore[reportArgumentType]
        self.frames = dict(frames)

    def write(
        self,
        start: int,
        texts: Int[np.ndarray, " batch"],
        blocks: Mapping[PooledSite, Float[np.ndarray, "batch _"]],
    ) -> None:
        """Add the next rows; `start` must be `rows_done`.

        The journal is written every 20 s.

        A float32 block for a float16 file turns the whole file into float32. StcError
        if the disk cannot be written.
        """
        assert start == self.rows_done, (start, self.rows_done)
        try:
            for site, block in blocks.items():
                if block.dtype.itemsize > self.dtype(site).itemsize:
                    self._widen(site)
                self._put(str(site), self._headers[site], start, block)
            self._put("order", self._order, start, texts)
        except OSError as error:
            raise write_error(self.path, error) from error
        self.rows_done += len(texts)
        if time.monotonic() - self._saved > CHECKPOINT_S:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Bring every row to the disk, then record that in the journal."""
        names = [_file(self.path, site) for site in self.widths]
        try:
            frames = [self.path / FRAMES] if self.frames else []
            for path in [self.path / "order.npy", *frames, *names]:
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
        except OSError as error:
            raise write_error(self.path, error) from error
        write_json(
            self.path / "journal.json",
            {"rows_done": self.rows_done, "notes": self.notes, "sums": self._sums},
        )
        self._saved = time.monotonic()

    def _put(self, name: str, header: "_Header", row: int, block: np.ndarray) -> None:
        """Write rows into a file from row `row` on, as often as the system asks."""
        data = np.ascontiguousarray(block, header.dtype).data.cast("B")
        with (self.path / f"{name}.npy").open("rb+", buffering=0) as file:
            file.seek(header.offset + row * header.row_bytes)
            remaining = data
            while remaining:
                remaining = remaining[file.write(remaining) :]
        sums = self._sums.setdefault(name, [])
        add_rows(sums, row, data, row_bytes=header.row_bytes)

    def _widen(self, site: PooledSite) -> None:
        """Turn a site's file into float32, with the rows that are done."""
        path = _file(self.path, site)
        float16_rows = np.load(path, mmap_mode="r")
        with replacing(path) as temporary:
            float32_rows = _allocate(
                temporary, float16_rows.shape, np.dtype(np.float32)
            )
            for row in range(0, self.rows_done, COPY_ROWS):
                stop = min(row + COPY_ROWS, self.rows_done)
                float32_rows[row:stop] = float16_rows[row:stop]
            float32_rows.flush()
            self._sums[str(site)] = array_sums(float32_rows[: self.rows_done])
        self._headers[site] = _header(path)


class _Header(NamedTuple):
    """What a .npy header says: its dtype, where the rows begin, the bytes of a row."""

    dtype: np.dtype
    offset: int
    row_bytes: int


def _header(path: Path) -> _Header:
    stored = np.load(path, mmap_mode="r")
    assert isinstance(stored, np.memmap), path
    return _Header(stored.dtype, stored.offset, stored[:1].nbytes)


def _read_frames(path: Path) -> dict[PooledSite, Frame]:
    if not (path / FRAMES).exists():
        return {}
    with (path / FRAMES).open("rb") as file, np.load(file) as parts:
        names = [name.removeprefix("offset ") for name in parts if name[0] == "o"]
        return {
            PooledSite.parse(name): Frame(
                parts[f"offset {name}"], float(parts[f"scale {name}"])
            )
            for name in names
        }


def _file(path: Path, pooled_site: PooledSite) -> Path:
    return path / f"{pooled_site}.npy"


def _allocate(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.memmap:
    return np.lib.format.open_memmap(path, "w+", dtype=dtype, shape=shape)


def text_key(texts: Iterable[str], *settings: object) -> str:
    """A hash of the texts in order and of every setting that changes the numbers."""
    digest = hashlib.sha256(repr((_FORMAT, *settings)).encode())
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:24]


def store_path(folder: Path, key: str, sites: Iterable[PooledSite]) -> Path:
    """The folder of the store with these texts' key and these sites."""
    names = ",".join(sorted(map(str, sites)))
    return folder / f"{key}-{hashlib.sha256(names.encode()).hexdigest()[:8]}"


def store_lock(folder: Path, key: str) -> FileLock:
    """The lock of the writer of stores of `key`; it is free when its process dies."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    return FileLock(folder / f"{key}.lock")


def find_store(
    folder: Path, key: str, sites: Iterable[PooledSite]
) -> FeatureStore | None:
    """A finished store of these texts that holds all of `sites`, maybe more."""
    wanted = set(sites)
    for path in sorted(folder.glob(f"{key}-*")):
        with suppress(StcError, FileNotFoundError):  # another process is deleting it
            if damage_of(path) is None and share_done(path) == 1.0:
                store = FeatureStore(path)
                if wanted <= set(store.widths):
                    return store
    return None


def open_writer(
    path: Path,
    widths: Mapping[PooledSite, int],
    unique: Int[np.ndarray, " n"],
    *,
    dtype: str,
    about: Mapping[str, Any],
) -> StoreWriter:
    """The writer of the interrupted store at `path`, or of a new empty one.

    `unique[i]` is the number of the distinct text that text i equals. A store appears
    at once, with all its files, or not at all. StcError if the disk is full.
    """
    if damage_of(path) is not None:
        set_aside(path)
        n_unique = int(unique.max()) + 1
        check_space(path.parent, store_bytes(n_unique, len(unique), widths, dtype))
        try:
            _create(path, widths, unique, dtype=dtype, about=about)
        except OSError as error:
            raise write_error(path, error) from error
    return StoreWriter(path)


def _create(
    path: Path,
    widths: Mapping[PooledSite, int],
    unique: Int[np.ndarray, " n"],
    *,
    dtype: str,
    about: Mapping[str, Any],
) -> None:
    n_unique = int(unique.max()) + 1
    meta = {
        "dtype": dtype,
        "n": len(unique),
        "n_unique": n_unique,
        "widths": {str(site): width for site, width in widths.items()},
    }
    temporary = temporary_path(path)
    try:
        temporary.mkdir()
        for site, width in widths.items():
            _allocate(_file(temporary, site), (n_unique, width), np.dtype(dtype))
        _allocate(temporary / "order.npy", (n_unique,), np.dtype(np.int64))
        np.save(temporary / "texts.npy", unique)
        meta["texts_sum"] = texts_sum(temporary)
        write_json(temporary / "meta.json", {**about, **meta})
        write_json(temporary / "journal.json", {"rows_done": 0, "notes": []})
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def store_bytes(
    n_unique: int, n: int, widths: Mapping[PooledSite, int], dtype: str
) -> int:
    """Bytes of a store on disk, without the files' headers."""
    row = sum(widths.values()) * np.dtype(dtype).itemsize
    return n_unique * (row + 8) + n * 8


def check_space(folder: Path, needed: int) -> None:
    """Raise StcError unless `needed` bytes fit on the disk of `folder`."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StcError(
            f"not enough disk space for the features in {str(folder)!r}",
            expected=f"{needed / 1e9:.2f} GB free",
            got=f"{free / 1e9:.2f} GB",
            remedy="Delete old features, read fewer sites or poolings, or set "
            "STC_HOME to a folder on a larger disk.",
        )


def touch(path: Path) -> None:
    """Mark a store as used now, if its folder can be written."""
    with suppress(OSError):
        os.utime(path / "journal.json")
