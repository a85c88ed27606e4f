"""The status of a run in status.json, and whether its worker is still alive."""

import shutil
import socket
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict, get_args

from stc_core.display import duration
from stc_core.errors import StcError
from stc_core.files import machine_error, read_json, read_tail, write_json
from stc_core.memory import memory_kills
from stc_core.recipe_table import Recipe
from stc_core.runs.layout import RunFile
from stc_core.runs.processes.worker import Worker

State = Literal["queued", "running", "done", "failed", "cancelled"]
Phase = Literal["read", "load", "extract", "probe", "select", "head", "report", "tune"]
RunStep = Phase | Literal["end"]
PHASES: tuple[Phase, ...] = get_args(Phase)
RUN_STEPS: tuple[RunStep, ...] = (*PHASES, "end")
"""The phases in order, and the second report of a recipe that replaces the neurons."""
STATES: tuple[State, ...] = get_args(State)
BUSY: tuple[State, ...] = ("queued", "running")
WRITE_EVERY_S = 0.5
START_LIMIT_S = 60.0
TICKET = "ticket"
"""A file in the folder of each waiting run; its time is when the run began to wait."""
_STATUS_BYTES = 1 << 16
_KILLED = "The worker ended without a message. Was it killed, or out of memory?"
_OUT_OF_MEMORY = (
    "The system killed the worker, as memory ran out. Resume the run when other "
    "programs need less, or train with a smaller language model, fewer tokens of each "
    "text or fewer kinds of sites."
)
_FULL = (
    "The disk is full, so the worker could not write how it ended. Free some disk "
    "space, then resume the run."
)
PHASE_NAMES: dict[Phase, str] = {
    "read": "Read the table",
    "load": "Load the language model",
    "extract": "Read the activations",
    "probe": "Probe every layer",
    "select": "Select neurons",
    "head": "Fit the classifier",
    "report": "Test and write the report",
    "tune": "Tune the layers",
}


USUAL_SECONDS: dict[Phase, float] = {
    "read": 3.0,
    "load": 1.0,
    "extract": 8.0,
    "probe": 6.0,
    "select": 10.0,
    "head": 0.5,
    "report": 13.0,
    "tune": 60.0,
}
"""The seconds of the phases on the sample, for runs whose time was not foretold."""
CHEAP: tuple[Phase, ...] = ("read", "load", "head")
"""Phases that take little time, which need no forecast."""
TRUSTED_SHARE = 0.25
"""A forecast weighs as much as what this share of a run has shown of its pace."""


class RunError(TypedDict):
    message: str
    mend: bool  # true: the user can mend it; false: a bug of STC Studio
    traceback: str


class Status(TypedDict):
    """The content of status.json; times in seconds, clock times since the epoch."""

    state: State
    phase: Phase
    done: int
    total: int  # 0: not known
    rate: float | None  # done per second in this phase
    eta_s: float | None  # until the end of this phase
    message: str
    pid: int | None
    born: float | None  # when the process began; identifies it, with pid and host
    host: str | None
    started: float
    heartbeat: float
    error: RunError | None
    step: NotRequired[RunStep]  # the furthest step so far; a phase may come again
    step_part: NotRequired[float]  # the share of that step that is over
    memory_kills: NotRequired[int]  # `memory_kills()` when the process began


def new_status(state: State) -> Status:
    """The status of a run that nobody has worked on."""
    now = time.time()
    status = Status(
        state=state,
        phase="read",
        done=0,
        total=0,
        rate=None,
        eta_s=None,
        message="",
        pid=None,
        born=None,
        host=None,
        started=now,
        heartbeat=now,
        error=None,
    )
    if state == "running" and (kills := memory_kills()) is not None:
        status["memory_kills"] = kills
    return status


def failed_status(
    status: Status, message: str, *, mend: bool, trace: str = ""
) -> Status:
    """`status` with the state "failed" and this error; the other fields stay."""
    error = RunError(message=message, mend=mend, traceback=trace)
    failed: Status = {**status, "state": "failed", "message": message, "error": error}
    failed["eta_s"] = None
    return failed


def read_status(path: Path) -> Status:
    """The status in `path`; StcError if it is damaged."""
    raw = read_json(path)
    known = Status.__required_keys__ <= raw.keys() <= Status.__annotations__.keys()
    if not known or not _is_sound(raw):
        raise StcError(
            str(path),
            expected="the status of a run",
            remedy="The file is damaged; train the run again.",
        )
    return Status(**raw)


def _is_sound(raw: dict[str, Any]) -> bool:
    """True if the fields that a list of runs reads have the right types."""
    numbers = ("done", "total", "started", "heartbeat")
    pid, error, keys = raw["pid"], raw["error"], RunError.__annotations__.keys()
    return (
        raw["state"] in STATES
        and raw["phase"] in PHASES
        and isinstance(raw["message"], str)
        and all(isinstance(raw[name], int | float) for name in numbers)
        and raw.get("step", "read") in RUN_STEPS
        and isinstance(raw.get("step_part", 0.0), int | float)
        and (pid is None or isinstance(pid, int))
        and (error is None or (isinstance(error, dict) and error.keys() >= keys))
    )


def doing_line(status: Status, *, position: int | None = None) -> str:
    """One line on the current work of a run, with progress, rate and time left.

    An example is 'Read the activations · 320 of 620 tokens · 85.0 per second · 4 s left
    in this phase'. `position` is the place of a waiting run in the queue.
    """
    if status["state"] == "queued":
        return f"Waiting, number {position} in the queue" if position else "Starting"
    facts = [PHASE_NAMES[status["phase"]]]
    if status["total"]:
        unit = " tokens" if status["phase"] == "extract" else ""
        facts.append(f"{status['done']:,} of {status['total']:,}{unit}")
    if (status["rate"] or 0) >= 0.1:
        facts.append(f"{status['rate']:,.1f} per second")
    if status["eta_s"] is not None:
        facts.append(f"{duration(status['eta_s'])} left in this phase")
    return " · ".join(facts)


def begin_step(status: Status) -> None:
    """Keep how far the run is, as it has just begun the phase of its status.

    Recipes check before they read, and report after they tune, so a phase may come
    again. The furthest step stays; a second report is the last step, "end".
    """
    phase, before = status["phase"], status.get("step")
    place = -1 if before is None else RUN_STEPS.index(before)
    again = phase == "report" and place >= RUN_STEPS.index("report")
    step: RunStep = "end" if again else phase
    if RUN_STEPS.index(step) > place:
        status.update(step=step, step_part=0.0)


def keep_part(status: Status) -> None:
    """Keep how much of the furthest step is over; it never becomes less."""
    step = status.get("step", status["phase"])
    if status["phase"] == ("report" if step == "end" else step):
        before = status.get("step_part", 0.0)
        status.update(step=step, step_part=max(before, _part(status)))


def _part(status: Status) -> float:
    """The share of the present phase that is over."""
    return min(status["done"] / status["total"], 1.0) if status["total"] else 0.0


class RunProgress(NamedTuple):
    """How far a whole run is: the share of its time that is over, from 0 to 1.

    `left_s` are the seconds until its end, or None if they are not known.
    """

    share: float
    left_s: float | None


def run_progress(
    status: Status, expected: Mapping[Phase, float], *, recipe: Recipe, now: float
) -> RunProgress:
    """The progress of a run through all its phases, at the clock time `now`.

    `expected` are the seconds that its phases are foretold to take; phases without any
    take the usual share. The time left goes by how fast the run has been so far, and is
    known only if its phases were foretold and it is at work. A `recipe` that tunes the
    model has one phase more, whose time may be unknown. One that replaces the selected
    neurons reads every text again at its end.
    """
    phases = PHASES if recipe.tunes_model else PHASES[:-1]
    seconds: dict[RunStep, float] = {
        name: expected.get(name, USUAL_SECONDS[name]) for name in phases
    }
    if recipe.tunes:
        seconds["end"] = seconds["extract"]
    step, part = status.get("step", status["phase"]), status.get("step_part")
    place = RUN_STEPS.index(step)
    whole = sum(seconds.values())
    over = sum(
        taken for name, taken in seconds.items() if RUN_STEPS.index(name) < place
    )
    over += seconds.get(step, 0.0) * (_part(status) if part is None else part)
    is_known = all(expected.get(name) for name in phases if name not in CHEAP)
    if status["state"] != "running" or not is_known:
        return RunProgress(over / whole, None)
    trust = TRUSTED_SHARE * whole  # a busy moment at the start says little
    pace = (now - status["started"] + trust) / (over + trust)
    return RunProgress(over / whole, pace * (whole - over))


def read_expected(folder: Path) -> dict[Phase, float]:
    """The seconds that the phases of a run were foretold; empty if nothing was."""
    path = folder / RunFile.EXPECTED
    try:
        raw = read_json(path) if path.is_file() else {}
    except StcError:  # a damaged forecast must not hide the run
        return {}
    seconds: dict[Phase, float] = {}
    for name in PHASES:
        value = raw.get(name)
        if isinstance(value, int | float) and value > 0:
            seconds[name] = float(value)
    return seconds


def observe_status(folder: Path) -> Status:
    """The status in `folder`; it is "failed" if the worker died without saying so."""
    path = folder / RunFile.STATUS
    status = read_status(path)
    if status["state"] not in BUSY or _is_alive(folder, status):
        return status
    status = read_status(path)  # the run may have ended since the first reading
    if status["state"] not in BUSY:
        return status
    message = _why_it_ended(folder, status)
    trace = read_tail(folder / RunFile.LOG)
    return failed_status(status, message, mend=message != _KILLED, trace=trace)


def _why_it_ended(folder: Path, status: Status) -> str:
    """The likeliest reason for a worker that ended without a message."""
    if _is_full(folder):
        return _FULL
    kills = memory_kills() if status["host"] == socket.gethostname() else None
    before = status.get("memory_kills")
    if before is not None and kills is not None and kills > before:
        return _OUT_OF_MEMORY
    return _KILLED


def _is_full(folder: Path) -> bool:
    """Whether the disk of `folder` has no room even for a status."""
    return shutil.disk_usage(folder).free < _STATUS_BYTES


def _is_alive(folder: Path, status: Status) -> bool:
    if status["state"] == "queued" and (folder / TICKET).is_file():
        return True
    worker = worker_of(folder, status)
    if worker is None:
        return time.time() - status["heartbeat"] < START_LIMIT_S
    return worker.is_alive(heartbeat=status["heartbeat"])


def worker_of(folder: Path, status: Status) -> Worker | None:
    """The process that works in `folder`; None if it is not known.

    It is named in the status, or in worker.json right after the start.
    """
    if status["pid"] is not None:
        return Worker(status["pid"], status["born"] or 0.0, status["host"] or "")
    path = folder / RunFile.WORKER
    if not path.is_file():
        return None
    raw = read_json(path)
    if raw.keys() != set(Worker._fields):
        raise StcError(
            str(path),
            expected="the process that works on a run",
            remedy="The file is damaged; train the run again.",
        )
    return Worker(**raw)


def ended_status(status: Status, error: BaseException) -> Status:
    """`status` after `error`: failed, or cancelled if the user interrupted it."""
    if isinstance(error, KeyboardInterrupt):
        return {**status, "state": "cancelled", "message": "Cancelled.", "eta_s": None}
    error = machine_error(error) or error
    mend = isinstance(error, StcError)
    trace = "" if mend else "".join(traceback.format_exception(error))
    message = str(error) if mend else f"{type(error).__name__}: {error}"
    return failed_status(status, message, mend=mend, trace=trace)


def mark_cancelled(folder: Path) -> None:
    """Set the state "cancelled" of a run whose worker is gone; an ended run stays."""
    status = read_status(folder / RunFile.STATUS)
    if status["state"] in BUSY:
        status.update(state="cancelled", message="Cancelled.", eta_s=None)
        write_json(folder / RunFile.STATUS, status)
