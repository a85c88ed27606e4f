"""Runs that were deleted: kept beside the others for a while, so that they can return.

A deleted run is its folder, moved from `runs/` to `trash/`, with deleted.json in it.
"""

import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from stc_core.errors import StcError
from stc_core.files import folder_bytes, read_json, write_error, write_json
from stc_core.paths import home, runs_folder
from stc_core.runs.queue import queue_lock
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


def trash_folder() -> Path:
    return home() / "trash"


def delete(run: Run) -> Deleted:
    """The run as it lies in the trash now. StcError if anyone works on it or with it.

    Only a run of the runs folder can be deleted; others are the user's own folders.
    """
    folder = run.folder.resolve()
    if folder.parent != runs_folder():
        raise StcError(
            f"run {str(run.folder)!r}",
            expected=f"a run in {str(runs_folder())!r}",
            remedy="Remove the folder yourself.",
        )
    with queue_lock(runs_folder()):
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
    """The folder of the run, back where it was; under another name if that is taken."""
    folder = trash_folder() / key
    with queue_lock(runs_folder()):
        if Path(key).name != key or not (folder / _FILE).is_file():
            raise StcError(
                f"There is no run {key!r} in the trash",
                remedy="It has been removed for good, or is back already.",
            )
        back = runs_folder() / _vacant(runs_folder(), _was(folder))
        folder.rename(back)
    (back / _FILE).unlink()
    return back


def _was(folder: Path) -> str:
    """The name that `folder` had among the runs."""
    try:
        said = read_json(folder / _FILE).get("folder")
    except StcError:  # damaged: it may return under the name it has in the trash
        said = None
    return Path(str(said or folder.name)).name


def list_trash() -> list[Deleted]:
    """What is in the trash, the latest first."""
    found = []
    for path in trash_folder().glob(f"*/{_FILE}"):
        folder = path.parent
        with suppress(FileNotFoundError):  # it was restored or removed meanwhile
            at, n_bytes = path.stat().st_mtime, folder_bytes(folder)
            found.append(Deleted(folder.name, Run(folder).name, at, n_bytes))
    return sorted(found, key=lambda one: one.at, reverse=True)


def empty_trash(*, older_days: float | int = 0) -> int:
    """The bytes freed: what was deleted more than `older_days` ago is gone for good.

    So is what an earlier call began to remove and was killed.
    """
    until = time.time() - older_days * 86400
    if not _leftovers() and not any(one.at <= until for one in list_trash()):
        return 0
    with queue_lock(runs_folder()):
        gone = {folder: folder_bytes(folder) for folder in _leftovers()}
        old = [one for one in list_trash() if one.at <= until]
        gone |= {trash_folder() / one.key: one.n_bytes for one in old}
        for folder in gone:
            try:
                (folder / _FILE).unlink(missing_ok=True)  # half gone, it never returns
                shutil.rmtree(folder)
            except OSError as error:
                raise write_error(folder, error) from error
    return sum(gone.values())


def _leftovers() -> list[Path]:
    """The folders in the trash that are being removed: they have no FILE any more.

    A run that is deleted brings its FILE along, so none is here for a moment only.
    """
    folders = (path for path in trash_folder().glob("*/") if not path.is_symlink())
    return [folder for folder in folders if not (folder / _FILE).exists()]


def needed_by(run: Run) -> list[Run]:
    """The other runs that read `run`: whose model was tuned there, or cut from it."""
    folder, found = run.folder.resolve(), []
    for other in list_runs():
        if other.folder.resolve() == folder:
            continue
        try:
            names = _reads(other)
        except StcError:  # damaged: it reads nothing
            continue
        if any(Path(name).resolve().is_relative_to(folder) for name in names):
            found.append(other)
    return found


def _reads(run: Run) -> list[str]:
    """The models or folders that `run` reads; the parent while it is cut from it."""
    config = run.config
    if config.shrink is None or run.status["state"] not in BUSY:
        return [config.train.backbone]
    return [config.train.backbone, config.shrink.parent]


def _refuse_busy(run: Run) -> None:
    if run.status["state"] in BUSY:
        raise StcError(
            f"run {run.name!r}",
            got="a run that waits or is being worked on",
            remedy="Cancel it first.",
        )
    for other in needed_by(run):
        if other.status["state"] in BUSY:
            raise StcError(
                f"run {run.name!r}",
                got=f"a run that {other.name!r} is reading",
                remedy="Wait for that one, or cancel it first.",
            )


def _vacant(folder: Path, name: str) -> str:
    """`name`, or with a number behind it, that is not taken in `folder`."""
    names = (name if n == 1 else f"{name}-{n}" for n in range(1, 1000))
    return next(one for one in names if not (folder / one).exists())
