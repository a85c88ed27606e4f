"""The queue: runs that wait until a place is free on this machine.

There is no server. A run waits while its folder holds a ticket. Each worker that ends,
and each page and command that looks at the runs, calls `advance`, which starts the
next runs.
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
    observe_status,
    worker_of,
)
from stc_core.runs.worker import spawn

_PLACES = 1
"""Runs at a time by default: two at once take as long as one after the other."""
VARIABLE = "STC_JOBS"
_SETTING = "jobs"


def places() -> int:
    """How many runs may be active at a time.

    It is the value of $STC_JOBS, or that of settings.json in the home, or 1.
    """
    variable = os.environ.get(VARIABLE)
    if variable:
        where = f"${VARIABLE}"
        value = int(variable) if variable.isdecimal() else variable
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
    """True if $STC_JOBS fixes how many runs may be active, so no setting can."""
    return bool(os.environ.get(VARIABLE))


def set_places(n: int) -> None:
    """Write to settings.json in the home how many runs may be active at a time."""
    path = home() / "settings.json"
    settings = read_json(path) if path.is_file() else {}
    write_json(path, {**settings, _SETTING: n})


def queue_lock(runs: Path) -> FileLock:
    """The lock of the folder `runs`; hold it to start, delete or restore a run."""
    try:
        runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(runs, error) from error
    return FileLock(runs.with_name(f"{runs.name}.lock"))


def start_lock(folder: Path) -> AbstractContextManager[object]:
    """A lock within which no other process begins the run in `folder`.

    It is needed because a process that dies in `advance` may leave the ticket of a run
    that has begun. Other processes do not see a run outside the runs folder, so such a
    run needs no lock.
    """
    is_seen = folder.resolve().parent == runs_folder()
    return queue_lock(runs_folder()) if is_seen else nullcontext()


def submit(folder: Path) -> None:
    """Start the queued run in `folder`, or let it wait until a place is free.

    A run outside the runs folder never waits, as other processes do not see it.
    """
    if folder.resolve().parent != runs_folder():
        spawn("work", folder)
        return
    (folder / TICKET).touch()
    advance()


def waiting_runs(runs: Path | None = None) -> list[Path]:
    """The folders of the waiting runs, the next one first."""
    tickets = []
    for ticket in (runs or runs_folder()).glob(f"*/{TICKET}"):
        with suppress(FileNotFoundError):  # the run was started meanwhile
            tickets.append((ticket.stat().st_mtime_ns, ticket.parent))
    return [folder for _, folder in sorted(tickets)]


def position(folder: Path) -> int | None:
    """The place of a run in the queue, 1 for the next one; None if it does not wait."""
    line = waiting_runs(folder.parent) if (folder / TICKET).is_file() else []
    return line.index(folder) + 1 if folder in line else None


def active_runs(runs: Path | None = None) -> list[Path]:
    """The folders of the active runs of this machine."""
    folders = []
    for path in (runs or runs_folder()).glob("*/status.json"):
        if (path.parent / TICKET).is_file():
            continue
        with suppress(StcError):  # a run with a damaged status counts as not active
            status = observe_status(path.parent)
            worker = worker_of(path.parent, status)
            if status["state"] in BUSY and (worker is None or worker.is_local):
                folders.append(path.parent)
    return sorted(folders)


def advance(runs: Path | None = None) -> list[Path]:
    """Start waiting runs while there are free places; return their folders.

    If several processes call it at once, each run is started only once.
    """
    runs = runs or runs_folder()
    if not waiting_runs(runs):
        return []
    started: list[Path] = []
    with queue_lock(runs):
        free = places() - len(active_runs(runs))
        for folder in waiting_runs(runs):
            if Run(folder).status["state"] != "queued":
                (folder / TICKET).unlink()
            elif len(started) < free:
                spawn("work", folder, after=partial(advance, runs))
                (folder / TICKET).unlink()
                started.append(folder)
    return started


@contextmanager
def advance_at_end() -> Iterator[None]:
    """Start waiting runs when the work inside ends, with or without an error.

    If the number of places cannot be read, the runs go on waiting and no error is
    raised, as the work inside is not to blame. A page shows the error later.
    """
    try:
        yield
    finally:
        with suppress(StcError):
            advance()


def leave_queue(folder: Path) -> bool:
    """Cancel the run in `folder` if it waits; True if it waited."""
    if not (folder / TICKET).is_file():
        return False
    with queue_lock(folder.parent):
        if not (folder / TICKET).is_file():
            return False
        mark_cancelled(folder)
        (folder / TICKET).unlink()
    return True
