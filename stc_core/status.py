"""What status.json says of a run."""

import time
from pathlib import Path
from typing import Literal, TypedDict, get_args

from stc_core.errors import StcError
from stc_core.files import read_json

State = Literal["queued", "running", "done", "failed", "cancelled"]
Phase = Literal["read", "load", "extract", "probe", "select", "head", "report", "tune"]
PHASES: tuple[Phase, ...] = get_args(Phase)
STATES: tuple[State, ...] = get_args(State)
BUSY: tuple[State, ...] = ("queued", "running")
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


class RunError(TypedDict):
    message: str
    mend: bool  # true: the user can mend it; false: a bug of ours
    traceback: str


class Status(TypedDict):
    """What status.json holds; times in seconds, clock times since the epoch."""

    state: State
    phase: Phase
    done: int
    total: int  # 0: how much there is to do is not known
    rate: float | None  # done per second in this phase
    eta_s: float | None  # until the end of this phase
    message: str
    pid: int | None
    born: float | None  # when the process began, with pid and host its identity
    host: str | None
    started: float
    heartbeat: float
    error: RunError | None


def new_status(state: State) -> Status:
    """The status of a run that nobody has worked on."""
    now = time.time()
    return Status(
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


def failed(status: Status, said: str, *, mend: bool, trace: str = "") -> Status:
    """`status` after the error `said`; everything else as it was."""
    error = RunError(message=said, mend=mend, traceback=trace)
    return {**status, "state": "failed", "message": said, "eta_s": None, "error": error}


def read_status(path: Path) -> Status:
    """The status in `path`; StcError if it is damaged."""
    raw = read_json(path)
    if raw.keys() != Status.__annotations__.keys() or raw["state"] not in STATES:
        raise StcError(
            str(path),
            expected="the status of a run",
            remedy="The file is damaged; train the run again.",
        )
    return Status(**raw)
