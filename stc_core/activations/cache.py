"""The feature stores on disk, and the deletion of old ones to make room."""

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from filelock import Timeout

from stc_core.activations.integrity import damage_of, share_done
from stc_core.activations.store import store_lock
from stc_core.errors import StcError
from stc_core.files import read_json, temporary_path

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
    """All stores, finished or not, starting with the one that was used longest ago."""
    paths = folder.glob("[!.]*/journal.json")
    stores = (_info(journal.parent) for journal in paths)
    return sorted((store for store in stores if store), key=lambda store: store.used)


def _info(path: Path) -> StoreInfo | None:
    """The facts of a store; None if another process has just deleted it."""
    try:
        # Blocks on disk, not file lengths: files are sparse until rows are written.
        size = sum(file.stat().st_blocks * 512 for file in path.iterdir())
        used = (path / "journal.json").stat().st_mtime
    except FileNotFoundError:
        return None
    if damage_of(path) is not None:  # a damaged store has no facts to read
        return StoreInfo(path, size, used, 0.0, "damaged", 0)
    about = read_json(path / "meta.json")
    return StoreInfo(path, size, used, share_done(path), about["backbone"], about["n"])


def delete_store(path: Path) -> bool:
    """Delete a store; return whether it is gone. It stays if it is being written.

    Another process may have deleted it first.
    """
    try:
        with store_lock(path.parent, path.name.partition("-")[0]).acquire(timeout=0):
            deleted = temporary_path(path)
            with suppress(FileNotFoundError):
                path.rename(deleted)
                shutil.rmtree(deleted, ignore_errors=True)
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
    """Delete old stores, so that `needed` more bytes fit; return the bytes freed.

    Stores are deleted, beginning with the one that was used longest ago, until the
    others and the `needed` bytes together take at most `budget` bytes. The default
    budget is $STC_FEATURES_GB gigabytes, or 50. A store that was used within the last
    hour is never deleted, and neither is the store at `keep`. The bytes on disk of that
    store are not counted, because `needed` contains its full size already.
    """
    if budget is None:
        budget = _budget()
    # Hidden folders were left by processes that were killed while deleting.
    for deleted in folder.glob(".*/"):
        if time.time() - deleted.stat().st_mtime > IN_USE_S:
            shutil.rmtree(deleted, ignore_errors=True)
    stores = list_stores(folder)
    excess = sum(s.bytes for s in stores if s.path != keep) + needed - budget
    freed = 0
    for store in stores:
        is_recent = time.time() - store.used < IN_USE_S
        is_kept = is_recent or store.path == keep
        if freed < excess and not is_kept and delete_store(store.path):
            freed += store.bytes
    return freed


def _budget() -> int:
    """The budget in bytes; StcError if $STC_FEATURES_GB is not a number."""
    gigabytes = os.environ.get("STC_FEATURES_GB", "50")
    try:
        return int(float(gigabytes) * 1e9)
    except (ValueError, OverflowError) as error:
        raise StcError(
            "$STC_FEATURES_GB", expected="a number of gigabytes", got=repr(gigabytes)
        ) from error
