"""The writer of a run folder; `run.Run` is its reader."""

import math
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock

from stc_core.config import RunConfig
from stc_core.files import (
    json_value,
    make_folder,
    remove_leftovers,
    replacing,
    write_json,
)
from stc_core.runs.layout import RunFile
from stc_core.runs.metrics import check_metrics
from stc_core.runs.ownership import disown, own
from stc_core.runs.processes.worker import Worker
from stc_core.runs.run import Run
from stc_core.runs.run_frames import ProbeGuesses
from stc_core.runs.stages import RunStages
from stc_core.runs.status import (
    PHASES,
    WRITE_EVERY_S,
    Phase,
    Status,
    begin_step,
    ended_status,
    keep_part,
    new_status,
)
from stc_core.types import Progress

CHEAP_PHASES: tuple[Phase, ...] = ("read", "load")
OBSERVE_EVERY_S = 0.2


class RunWriter:
    """The only writer of a run folder: its phases, progress, files and end.

    It owns the folder until it finishes, or until the end of its context, which sets
    the state "failed" or "cancelled" after an exception. StcError if it has an owner.
    `on_status` is called with a copy of the new status, a few times a second at most.
    `elsewhere` runs the forwards of the training, see `Backbone.elsewhere`.
    """

    def __init__(
        self,
        folder: str | Path,
        config: RunConfig,
        *,
        on_status: Callable[[Status], None] | None = None,
        elsewhere: Any = None,
    ) -> None:
        self.folder, self.elsewhere = Path(folder), elsewhere
        self._lock: FileLock | None = own(self.folder)
        me = Worker.current()
        self.status = new_status("running")
        self.status.update(pid=me.pid, born=me.born, host=me.host)
        self.config = create_run(self.folder, config, status=self.status)
        remove_leftovers(self.folder)
        self.stages = RunStages(self.folder, self.config)
        self.seconds: dict[str, float] = {}  # the duration of each finished phase
        self._on_status = on_status
        self._began = self._phase_began = time.monotonic()
        self._written_at = self._observed_at = -math.inf
        self._tell(now=True)

    def __enter__(self) -> "RunWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is not None and self.status["state"] == "running":
                self.fail(error)
        finally:
            self._disown()

    @property
    def total_seconds(self) -> float:
        """The seconds since this writer was made."""
        return time.monotonic() - self._began

    def phase(self, name: Phase, *, total: int = 0, message: str = "") -> None:
        """Begin the phase `name`, which ends the phase before it."""
        assert name in PHASES, (name, PHASES)
        self._close_phase()
        self.status.update(phase=name, done=0, total=total, rate=None, eta_s=None)
        begin_step(self.status)
        self.status["message"] = message
        self._log(f"{name}: {message}" if message else name)
        self._tell(now=True)

    def progress(self, done: int, total: int) -> None:
        """Set the progress of the phase; it is cheap, so it may be called often."""
        passed = time.monotonic() - self._phase_began
        rate = done / passed if done and passed > 0 else None
        eta_s = (total - done) / rate if rate and total else None
        self.status.update(done=int(done), total=int(total), rate=rate, eta_s=eta_s)
        keep_part(self.status)
        self._tell()

    def part_of_phase(self, first: int, last: int) -> Progress:
        """A progress of work that is one part of the phase, from `first` to `last` %.

        The phase then goes once from 0 to 100 %, and never back.
        """

        def progress(done: int, total: int) -> None:
            self.progress(round(first + (last - first) * done / max(total, 1)), 100)

        return progress

    def note(self, message: str) -> None:
        """Write `message` to log.txt and show it as the message of the run."""
        self.status["message"] = message
        self._log(message)
        self._tell(now=True)

    def call(self, name: str) -> None:
        """Set the name of the run, for recipes whose default name needs the result."""
        self.config = self.config.changed(name=name)
        self.write_json(RunFile.CONFIG, self.config)

    def write_json(self, name: str, value: Any) -> None:
        """Write `value` as JSON; records, arrays and scalars work, NaN becomes null."""
        write_json(self.folder / name, value)

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write metrics.json; pydantic's ValidationError if it has another shape."""
        self.write_json(RunFile.METRICS, check_metrics(json_value(metrics)))

    def write_text(self, name: str, text: str) -> None:
        with replacing(self.folder / name) as path:
            path.write_text(text, encoding="utf-8")

    def write_frame(self, name: str, frame: pd.DataFrame) -> None:
        with replacing(self.folder / name) as path:
            frame.to_parquet(path, index=False)

    def write_guesses(self, guesses: ProbeGuesses) -> None:
        """Write what each probe of probes.parquet says of the validation rows."""
        with replacing(self.folder / RunFile.GUESSES) as path, path.open("wb") as file:
            np.savez_compressed(file, **guesses._asdict())

    def write_frames(self, name: str, frames: Iterable[pd.DataFrame]) -> None:
        """Write frames with the same columns, one after another, as one table."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        remaining = iter(frames)
        first = pa.Table.from_pandas(next(remaining), preserve_index=False)
        with (
            replacing(self.folder / name) as path,
            pq.ParquetWriter(path, first.schema) as file,
        ):
            file.write_table(first)
            for frame in remaining:
                table = pa.Table.from_pandas(
                    frame, schema=first.schema, preserve_index=False
                )
                file.write_table(table)

    def finish(self) -> Run:
        """Mark the run as done and return its reader."""
        self._close_phase()
        self.status.update(state="done", message="", eta_s=None)
        self._log(f"done in {self.total_seconds:.1f} s")
        self._tell(now=True)
        self.stages.remove()
        self._disown()
        return Run(self.folder)

    def fail(self, error: BaseException) -> None:
        """Mark the run as failed by `error`, or cancelled if it was interrupted."""
        self._close_phase()
        self.status = ended_status(self.status, error)
        failure = self.status["error"]
        if failure is None:
            self._log("cancelled")
        else:
            self._log(f"failed: {failure['message']}\n{failure['traceback']}".rstrip())
        self._tell(now=True)

    def discard_if_unbegun(self) -> bool:
        """Remove the folder if the run failed before its work began; True if so."""
        unbegun = self.status["phase"] in CHEAP_PHASES and not self.stages
        if unbegun:
            shutil.rmtree(self.folder)
        return unbegun

    def _disown(self) -> None:
        if self._lock is not None:
            disown(self._lock)
            self._lock = None

    def _close_phase(self) -> None:
        now = time.monotonic()
        name = self.status["phase"]
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._phase_began
        self._phase_began = now

    def _tell(self, *, now: bool = False) -> None:
        clock = time.monotonic()
        self.status["heartbeat"] = time.time()
        if now or clock - self._written_at >= WRITE_EVERY_S:
            self._written_at = clock
            write_json(self.folder / RunFile.STATUS, self.status)
        if self._on_status and (now or clock - self._observed_at >= OBSERVE_EVERY_S):
            self._observed_at = clock
            self._on_status(self.status.copy())

    def _log(self, line: str) -> None:
        with (self.folder / RunFile.LOG).open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S}  {line}\n")


def create_run(
    folder: Path, config: RunConfig, *, status: Status | None = None
) -> RunConfig:
    """Write a new run to `folder`, queued unless `status` says otherwise.

    Returns its settings, with their date set.
    """
    if not config.created:
        now = datetime.now().astimezone().isoformat(timespec="milliseconds")
        config = config.changed(created=now)
    make_folder(folder)
    # In this order: a status alone is no run yet, so that the folder counts as vacant.
    write_json(folder / RunFile.STATUS, status or new_status("queued"))
    write_json(folder / RunFile.CONFIG, config)
    return config
