"""Deleted runs, which are kept for a while and can be restored.

The folder of a deleted run is moved from `runs/` to `trash/`, with deleted.json in it.
"""

import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from stc_core.errors import StcError
from stc_core.files import folder_bytes, read_json, write_error, write_json
from stc_core.paths import runs_folder, trash_folder
from stc_core.runs.annotations import about_lock
from stc_core.runs.ownership import owned
from stc_core.runs.processes.queue import queue_lock
from stc_core.runs.run import Run, list_runs
from stc_core.runs.status import BUSY

KEPT_DAYS = 30
_FILE = "deleted.json"


class Deleted(NamedTuple):
    """A run in the trash; `key` is its folder there, `at` seconds since the epoch."""

    key: str
    name: str
    at: float
    n_bytes: int


def delete(run: Run) -> Deleted:
    """Move a run to the trash; return its entry there.

    Raises StcError if the run is active, if an active run reads it, or if it is not in
    the runs folder: other folders belong to the user.
    """
    folder = run.folder.resolve()
    if folder.parent != runs_folder():
        raise StcError(
            f"run {str(run.folder)!r}",
            expected=f"a run in {str(runs_folder())!r}",
            remedy="Remove the folder yourself.",
        )
    with queue_lock(), owned(folder), about_lock(folder):
        _refuse_busy(run)
        name, at, n_bytes = run.name, time.time(), folder_bytes(folder)
        key = _vacant(trash_folder(), folder.name)
        try:
            trash_folder().mkdir(exist_ok=True)
            write_json(folder / _FILE, {"folder": folder.name})
            folder.rename(trash_folder() / key)
        except OSError as error:
            raise write_error(trash_folder(), error) from error
    return Deleted(key, name, at, n_bytes)


def restore(key: str) -> Path:
    """Move a run back to the runs folder; return its folder.

    If its old name is taken, it gets a number.
    """
    folder = trash_folder() / key
    with queue_lock():
        if Path(key).name != key or not (folder / _FILE).is_file():
            raise StcError(
                f"There is no run {key!r} in the trash",
                remedy="It was removed for good or has already been restored.",
            )
        restored = runs_folder() / _vacant(runs_folder(), _old_name(folder))
        with owned(restored):
            folder.rename(restored)
            (restored / _FILE).unlink()
    return restored


def _old_name(folder: Path) -> str:
    """The name that `folder` had in the runs folder."""
    try:
        name = read_json(folder / _FILE).get("folder")
    except StcError:  # damaged: use the name that it has in the trash
        name = None
    return Path(str(name or folder.name)).name


def list_trash() -> list[Deleted]:
    """The deleted runs in the trash, the latest first."""
    deleted = []
    for path in trash_folder().glob(f"*/{_FILE}"):
        folder = path.parent
        with suppress(FileNotFoundError):  # it was restored or removed meanwhile
            at, n_bytes = path.stat().st_mtime, folder_bytes(folder)
            deleted.append(Deleted(folder.name, Run(folder).name, at, n_bytes))
    return sorted(deleted, key=lambda run: run.at, reverse=True)


def empty_trash(*, older_days: float | int = 0) -> int:
    """Remove for good what was deleted more than `older_days` ago; return the bytes.

    Folders that an earlier call could not remove completely are removed, too.
    """
    until = time.time() - older_days * 86400
    if not _leftovers() and not any(run.at <= until for run in list_trash()):
        return 0
    with queue_lock():
        sizes = {folder: folder_bytes(folder) for folder in _leftovers()}
        old = [run for run in list_trash() if run.at <= until]
        sizes |= {trash_folder() / run.key: run.n_bytes for run in old}
        for folder in sizes:
            try:
                # First, so that a half removed run can never be restored.
                (folder / _FILE).unlink(missing_ok=True)
                shutil.rmtree(folder)
            except OSError as error:
                raise write_error(folder, error) from error
    return sum(sizes.values())


def _leftovers() -> list[Path]:
    """The folders in the trash whose removal was begun: they have no deleted.json.

    A run gets its deleted.json before it is moved here, so a folder without this file
    is never a run that is just being deleted.
    """
    folders = (path for path in trash_folder().glob("*/") if not path.is_symlink())
    return [folder for folder in folders if not (folder / _FILE).exists()]


def needed_by(run: Run) -> list[Run]:
    """The other runs that read `run`: they use the model tuned by it, or shrink it."""
    folder, readers = run.folder.resolve(), []
    for other in list_runs():
        if other.folder.resolve() == folder:
            continue
        try:
            names = _reads(other)
        except StcError:  # a damaged run reads nothing
            continue
        if any(Path(name).resolve().is_relative_to(folder) for name in names):
            readers.append(other)
    return readers


def _reads(run: Run) -> list[str]:
    """The models or folders that `run` reads.

    A run made by shrink reads its parent only until it is finished.
    """
    config = run.config
    if config.shrink is None or run.status["state"] not in BUSY:
        return [config.train.backbone]
    return [config.train.backbone, config.shrink.parent]


def _refuse_busy(run: Run) -> None:
    if run.status["state"] in BUSY:
        raise StcError(
            f"run {run.name!r}",
            got="a waiting or active run",
            remedy="Cancel it first.",
        )
    for other in needed_by(run):
        if other.status["state"] in BUSY:
            raise StcError(
                f"run {run.name!r}",
                got=f"a run that {other.name!r} is reading",
                remedy="Wait until that run ends, or cancel it first.",
            )


def _vacant(folder: Path, name: str) -> str:
    """`name` if it is free in `folder`, else `name` with a number added."""
    names = (name if n == 1 else f"{name}-{n}" for n in range(1, 1000))
    return next(free for free in names if not (folder / free).exists())
