"""Which stores of features are on disk, and which make way for new ones."""

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from filelock import Timeout

from stc_core.activations.store import is_whole, share_done, store_lock
from stc_core.errors import StcError
from stc_core.files import read_json

IN_USE_S = 3600.0
"""A store that was read this recently is never deleted to make room."""


class StoreInfo(NamedTuple):
    """One store on disk; `used` is when it was last read or written (time.time)."""

    path: Path
    bytes: int
    used: float
    share_done: float
    backbone: str
    n: int


def list_stores(folder: Path) -> list[StoreInfo]:
    """All stores, finished or not, the longest unused first."""
    paths = folder.glob("[!.]*/journal.json")
    found = (_info(journal.parent) for journal in paths)
    return sorted((store for store in found if store), key=lambda store: store.used)


def _info(path: Path) -> StoreInfo | None:
    """None if another process has just deleted it; of a damaged one nothing is done."""
    try:
        # Blocks, not lengths: files are sparse until their rows are written.
        size = sum(file.stat().st_blocks * 512 for file in path.iterdir())
        used = (path / "journal.json").stat().st_mtime
    except FileNotFoundError:
        return None
    if not is_whole(path):
        return StoreInfo(path, size, used, 0.0, "damaged", 0)
    about = read_json(path / "meta.json")
    return StoreInfo(path, size, used, share_done(path), about["backbone"], about["n"])


def delete_store(path: Path) -> bool:
    """Whether the store is gone: not if it is being written just now.

    Another process may have been faster.
    """
    try:
        with store_lock(path.parent, path.name.partition("-")[0]).acquire(timeout=0):
            grave = path.with_name(f".{path.name}.{os.getpid()}")
            with suppress(FileNotFoundError):
                path.rename(grave)
                shutil.rmtree(grave, ignore_errors=True)
    except Timeout:
        return False
    return True


def prune_stores(
    folder: Path,
    *,
    needed: int = 0,
    keep: Path | None = None,
    budget: int | None = None,
) -> int:
    """Bytes set free so that `needed` more stay within `budget`, oldest first.

    The budget is $STC_FEATURES_GB (50). Stores used within the hour are kept, and
    so is `keep`, of which all is in `needed`.
    """
    if budget is None:
        budget = _budget()
    for grave in folder.glob(".*/"):  # of a process that was killed while it deleted
        if time.time() - grave.stat().st_mtime > IN_USE_S:
            shutil.rmtree(grave, ignore_errors=True)
    stores = list_stores(folder)
    excess = sum(s.bytes for s in stores if s.path != keep) + needed - budget
    freed = 0
    for store in stores:
        recent = time.time() - store.used < IN_USE_S
        spared = recent or store.path == keep
        if freed < excess and not spared and delete_store(store.path):
            freed += store.bytes
    return freed


def _budget() -> int:
    """Bytes; raises StcError if $STC_FEATURES_GB is no number."""
    asked = os.environ.get("STC_FEATURES_GB", "50")
    try:
        return int(float(asked) * 1e9)
    except (ValueError, OverflowError) as error:
        raise StcError(
            "$STC_FEATURES_GB", expected="a number of gigabytes", got=repr(asked)
        ) from error
