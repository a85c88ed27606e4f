"""The queue: runs that wait until a place is free on this machine.

There is no server. A run waits while its folder holds a ticket; the worker that ends,
and every page and command that looks, calls `advance`, which starts the next ones.
"""

import os
from collections.abc import Iterator
from contextlib import (
    AbstractContextManager,
    contextmanager,
    nullcontext,
    suppress,
)
from functools import partial
from pathlib import Path

from filelock import FileLock

from stc_core.errors import StcError
from stc_core.files import read_json, write_error, write_json
from stc_core.paths import home, runs_folder
from stc_core.runs.run import Run
from stc_core.runs.status import (
    BUSY,
    TICKET,
    mark_cancelled,
    observed,
    worker_of,
)
from stc_core.runs.worker import spawn

_PLACES = 1
"""Runs at a time: two on one machine take as long as one after the other."""
VARIABLE = "STC_JOBS"
_SETTING = "jobs"


def places() -> int:
    """How many runs may work at a time: $STC_JOBS, settings.json in the home, or 1."""
    asked = os.environ.get(VARIABLE)
    if asked:
        where, value = f"${VARIABLE}", int(asked) if asked.isdecimal() else asked
    else:
        path = home() / "settings.json"
        where = str(path)
        value = read_json(path).get(_SETTING, _PLACES) if path.is_file() else _PLACES
    if not isinstance(value, int) or value < 1:
        raise StcError(
            where, expected="a whole number of runs, 1 or more", got=repr(value)
        )
    return value


def is_fixed() -> bool:
    """True if the environment says how many, so that no setting can change it."""
    return bool(os.environ.get(VARIABLE))


def set_places(n: int) -> None:
    """Keep in the home's settings.json how many runs may work at a time."""
    path = home() / "settings.json"
    held = read_json(path) if path.is_file() else {}
    write_json(path, {**held, _SETTING: n})


def queue_lock(runs: Path) -> FileLock:
    """Held by whoever moves runs of the folder `runs` in or out of their places."""
    try:
        runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(runs, error) from error
    return FileLock(runs.with_name(f"{runs.name}.lock"))


def turn(folder: Path) -> AbstractContextManager[object]:
    """Within it nobody else begins the run in `folder`, where others see it at all.

    A caller of `advance` that dies may leave a ticket behind of a run that has begun.
    """
    seen = folder.resolve().parent == runs_folder()
    return queue_lock(runs_folder()) if seen else nullcontext()


def submit(folder: Path) -> None:
    """Begin the queued run in `folder`, or let it wait until a place is free.

    A run that is not in the runs folder is not seen by others and never waits.
    """
    if folder.resolve().parent != runs_folder():
        spawn("work", folder)
        return
    (folder / TICKET).touch()
    advance()


def waiting(runs: Path | None = None) -> list[Path]:
    """The folders of the runs that wait, the next one first."""
    found = []
    for ticket in (runs or runs_folder()).glob(f"*/{TICKET}"):
        with suppress(FileNotFoundError):  # it was started meanwhile
            found.append((ticket.stat().st_mtime_ns, ticket.parent))
    return [folder for _, folder in sorted(found)]


def position(folder: Path) -> int | None:
    """Its place in the queue, 1 for the next one; None if it does not wait."""
    line = waiting(folder.parent) if (folder / TICKET).is_file() else []
    return line.index(folder) + 1 if folder in line else None


def working(runs: Path | None = None) -> list[Path]:
    """The folders of the runs that a process of this machine works on."""
    found = []
    for path in (runs or runs_folder()).glob("*/status.json"):
        if (path.parent / TICKET).is_file():
            continue
        with suppress(StcError):  # a damaged status is nobody's work
            status = observed(path.parent)
            worker = worker_of(path.parent, status)
            if status["state"] in BUSY and (worker is None or worker.is_local):
                found.append(path.parent)
    return sorted(found)


def advance(runs: Path | None = None) -> list[Path]:
    """The folders of the runs that were started now, as many as have a place.

    However many call it at once, each run is started by one of them.
    """
    runs = runs or runs_folder()
    if not waiting(runs):
        return []
    started: list[Path] = []
    with queue_lock(runs):
        free = places() - len(working(runs))
        for folder in waiting(runs):
            if Run(folder).status["state"] != "queued":
                (folder / TICKET).unlink()
            elif len(started) < free:
                spawn("work", folder, after=partial(advance, runs))
                (folder / TICKET).unlink()
                started.append(folder)
    return started


@contextmanager
def handing_on() -> Iterator[None]:
    """However the work inside ends, the runs that wait are looked after then.

    A setting of how many may work that cannot be read is not the fault of that work:
    they wait for a page, which says what is wrong with it.
    """
    try:
        yield
    finally:
        with suppress(StcError):
            advance()


def leave(folder: Path) -> bool:
    """True if the run in `folder` waited; it is cancelled then, and never started."""
    if not (folder / TICKET).is_file():
        return False
    with queue_lock(folder.parent):
        if not (folder / TICKET).is_file():
            return False
        mark_cancelled(folder)
        (folder / TICKET).unlink()
    return True
