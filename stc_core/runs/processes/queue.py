"""The queue: runs that wait until a place is free on this machine.

There is no server. A run waits while its folder holds a ticket. Each worker that ends,
and each page and command that looks at the runs, calls `advance`, which starts the
next runs. All users of a machine wait in one queue.
"""

import os
from collections.abc import Iterator, Sequence
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
from stc_core.paths import home, runs_folders
from stc_core.runs.processes.worker import spawn
from stc_core.runs.run import Run
from stc_core.runs.status import (
    BUSY,
    TICKET,
    mark_cancelled,
    observe_status,
    worker_of,
)

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


def queue_lock(runs: Path | None = None) -> FileLock:
    """The lock of the queue; hold it to start, delete or restore a run.

    It lies beside `runs`, the folder of the runs of the home unless given.
    """
    runs = runs or runs_folders()[0]
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
    is_seen = folder.resolve().parent in runs_folders()
    return queue_lock() if is_seen else nullcontext()


def submit(folder: Path) -> None:
    """Start the queued run in `folder`, or let it wait until a place is free.

    A run outside the runs folder never waits, as other processes do not see it.
    """
    if folder.resolve().parent not in runs_folders():
        spawn("work", folder)
        return
    (folder / TICKET).touch()
    advance()


def waiting_runs(folders: Sequence[Path] | None = None) -> list[Path]:
    """The folders of the waiting runs of everyone, the next one first."""
    tickets = []
    for runs in folders or runs_folders():
        for ticket in runs.glob(f"*/{TICKET}"):
            with suppress(FileNotFoundError):  # the run was started meanwhile
                tickets.append((ticket.stat().st_mtime_ns, ticket.parent))
    return [folder for _, folder in sorted(tickets)]


def position(folder: Path) -> int | None:
    """The place of a run in the queue, 1 for the next one; None if it does not wait."""
    line = waiting_runs() if (folder / TICKET).is_file() else []
    return line.index(folder) + 1 if folder in line else None


def active_runs(folders: Sequence[Path] | None = None) -> list[Path]:
    """The folders of the active runs of everyone on this machine."""
    active = []
    for runs in folders or runs_folders():
        active += [
            path.parent for path in runs.glob("*/status.json") if _is_active(path)
        ]
    return sorted(active)


def _is_active(path: Path) -> bool:
    """Whether the run with this status works here, or may begin at any moment.

    A run with a damaged status counts as not active.
    """
    if (path.parent / TICKET).is_file():
        return False
    try:
        status = observe_status(path.parent)
    except StcError:
        return False
    worker = worker_of(path.parent, status)
    return status["state"] in BUSY and (worker is None or worker.is_local)


def advance(folders: Sequence[Path] | None = None) -> list[Path]:
    """Start waiting runs while there are free places; return their folders.

    If several processes call it at once, each run is started only once. `folders` are
    `runs_folders()` unless given.
    """
    folders = folders or runs_folders()
    if not waiting_runs(folders):
        return []
    started: list[Path] = []
    with queue_lock(folders[0]):
        free = places() - len(active_runs(folders))
        for folder in waiting_runs(folders):
            if Run(folder).status["state"] != "queued":
                (folder / TICKET).unlink()
            elif len(started) < free:
                spawn("work", folder, after=partial(advance, folders))
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
    with queue_lock():
        if not (folder / TICKET).is_file():
            return False
        mark_cancelled(folder)
        (folder / TICKET).unlink()
    return True
