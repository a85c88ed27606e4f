"""The run directory: the only thing that the work and the app share.

A writer replaces each file atomically, so a reader sees a whole, if older, state.
"""

import math
import os
import shutil
import time
import traceback
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from stc_core.config import RUN_FORMAT, RunConfig, runs_folder
from stc_core.errors import StcError
from stc_core.files import read_json, read_text, replacing, unwritable, write_json
from stc_core.status import BUSY, PHASES, Phase, Status, failed, new_status, read_status
from stc_core.worker import Worker

if TYPE_CHECKING:
    from stc_core.labeller import Labeller
    from stc_core.report import Report

CHEAP_PHASES: tuple[Phase, ...] = ("read", "load")
WRITE_EVERY_S = 0.5
OBSERVE_EVERY_S = 0.2
START_LIMIT_S = 60.0
LOG_TAIL_BYTES = 65536


class Run:
    """A reader of one run directory; every property but `config` reads anew."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """The run in `folder`; StcError when there is none or it is unreadable."""
        run = cls(folder)
        if not (run.folder / "config.json").is_file():
            raise StcError(
                f"run {str(folder)!r}",
                expected="a folder with a config.json",
                got="a folder without one" if run.folder.is_dir() else "no folder",
                remedy="Give the --out of a training; `stc runs` lists the runs.",
            )
        _ = run.config
        return run

    @cached_property
    def config(self) -> RunConfig:
        path = self.folder / "config.json"
        try:
            config = RunConfig.model_validate_json(read_text(path))
        except ValidationError as error:
            raise StcError(
                str(path),
                expected=f"the settings of a run, format {RUN_FORMAT}",
                got=error.errors()[0]["msg"],
                remedy="Train again into another folder, or remove this one.",
            ) from error
        if config.format != RUN_FORMAT:
            raise StcError(
                str(path),
                expected=f"format {RUN_FORMAT}",
                got=f"{config.format}",
                remedy="Train again with this version of STC Studio.",
            )
        return config

    @property
    def name(self) -> str:
        """What people call it: the name in its settings, or else the folder's."""
        try:
            return self.config.name or self.folder.name
        except StcError:
            return self.folder.name

    @property
    def created(self) -> str:
        """When it was asked for, ISO 8601; empty if its settings are unreadable."""
        try:
            return self.config.created
        except StcError:
            return ""

    @property
    def status(self) -> Status:
        """How far it is; `failed` also when its worker died without a word."""
        try:
            _ = self.config
            return observed(self.folder)
        except StcError as error:
            return failed(new_status("failed"), str(error), mend=True)

    def worker(self, status: Status | None = None) -> Worker | None:
        """Who works on it: by status.json, or by worker.json when just started."""
        status = status or read_status(self.folder / "status.json")
        return worker_of(self.folder, status)

    def summary(self) -> dict[str, Any]:
        """One line of a list of runs; results are None until it is done."""
        status = self.status
        metrics = self.metrics if status["state"] == "done" else {}
        test, neurons = metrics.get("test", {}), metrics.get("neurons", {})
        return {
            "run": self.folder.name,
            "name": self.name,
            "state": status["state"],
            "created": self.created,
            "accuracy": test.get("accuracy"),
            "macro_f1": test.get("macro_f1"),
            "neurons": neurons.get("selected"),
            "seconds": metrics.get("seconds", {}).get("total"),
            "folder": str(self.folder),
        }

    @property
    def done(self) -> bool:
        return self.status["state"] == "done"

    def has(self, name: str) -> bool:
        """True if the file `name` has been written."""
        return (self.folder / name).is_file()

    @property
    def metrics(self) -> dict[str, Any]:
        return read_json(self._written("metrics.json"))

    @property
    def report(self) -> "Report":
        from stc_core.report import Report

        return Report.from_json(read_text(self._written("report.json")))

    @property
    def probes(self) -> pd.DataFrame:
        return pd.read_parquet(self._written("probes.parquet"))

    @property
    def variability(self) -> dict[str, Any]:
        """nu of the layers and the best of them; StcError where it has none."""
        return read_json(self._written("variability.json"))

    @property
    def tuning(self) -> dict[str, Any]:
        """How its tuning went or goes: steps, epochs, peak_bytes."""
        return read_json(self._written("tuning.json"))

    @property
    def neurons(self) -> pd.DataFrame:
        return pd.read_parquet(self._written("neurons.parquet"))

    @property
    def levels(self) -> pd.DataFrame:
        """Probes of each level of labels by layer, of the recipe hierarchy."""
        return pd.read_parquet(self._written("levels.parquet"))

    @property
    def curves(self) -> pd.DataFrame:
        return pd.read_parquet(self._written("curves.parquet"))

    @property
    def frontier(self) -> pd.DataFrame:
        return pd.read_parquet(self._written("frontier.parquet"))

    @property
    def predictions(self) -> pd.DataFrame:
        return pd.read_parquet(self._written("predictions.parquet"))

    @property
    def corpus(self) -> pd.DataFrame:
        return pd.read_parquet(self._written("corpus.parquet"))

    @property
    def activations(self) -> np.ndarray:
        """Raw pooled values (corpus row, neuron), mapped and not read."""
        return np.load(self._written("activations.npy"), mmap_mode="r")

    def classifier(self, **arguments: Any) -> "Labeller":
        """The fitted classifier, ready to predict and explain."""
        folder = self._written("model")
        if (folder / "tree.json").is_file():
            if (folder / "words.safetensors").is_file():
                from stc_core.lexicon import open_lexicon

                return open_lexicon(folder, **arguments)
            from stc_core.cascade import open_cascade

            return open_cascade(folder, **arguments)
        if (folder / "attention.json").is_file():
            from stc_core.reader import open_reader

            return open_reader(folder, **arguments)
        from stc_core.labeller import open_labeller

        return open_labeller(folder, **arguments)

    def log_tail(self, n_lines: int = 30) -> str:
        """The last lines of log.txt, empty when there is none."""
        return tail(self.folder / "log.txt", n_lines)

    def _written(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            state = self.status["state"]
            busy = state in BUSY
            raise StcError(
                f"run {str(self.folder)!r} has no {name} (it is {state})",
                remedy="Wait until it is done." if busy else "Train it again.",
            )
        return path


def observed(folder: Path) -> Status:
    """What status.json in `folder` says; `failed` when the worker died silently."""
    path = folder / "status.json"
    status = read_status(path)
    if status["state"] not in BUSY or _is_alive(folder, status):
        return status
    status = read_status(path)  # it may have ended between the two looks
    if status["state"] not in BUSY:
        return status
    said = "The worker died without a word; was it killed, or out of memory?"
    return failed(status, said, mend=False, trace=tail(folder / "log.txt"))


def _is_alive(folder: Path, status: Status) -> bool:
    worker = worker_of(folder, status)
    if worker is None:
        return time.time() - status["heartbeat"] < START_LIMIT_S
    return worker.is_alive(heartbeat=status["heartbeat"])


def worker_of(folder: Path, status: Status) -> Worker | None:
    """Who works in `folder`: by its status, or by worker.json when just started."""
    if status["pid"] is not None:
        return Worker(status["pid"], status["born"] or 0.0, status["host"] or "")
    path = folder / "worker.json"
    return Worker(**read_json(path)) if path.is_file() else None


def tail(path: Path, n_lines: int = 30) -> str:
    """The last lines of a log, empty when there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return "\n".join(lines[-n_lines:])


def list_runs(folder: str | Path | None = None) -> list[Run]:
    """The runs in `folder` (default: runs_folder()), newest first.

    A run whose settings are damaged is among them, last; other folders are not.
    """
    folder = Path(folder) if folder is not None else runs_folder()
    if not folder.is_dir():
        return []
    runs = [
        Run(entry.path)
        for entry in os.scandir(folder)
        if not entry.name.startswith(".")
        and entry.is_dir()
        and (Path(entry.path) / "config.json").is_file()
    ]
    return sorted(runs, key=lambda run: (run.created, run.folder.name), reverse=True)


class RunWriter:
    """The one writer of a run directory: phases, progress, files, and the end.

    Used as a context manager it leaves `failed` or `cancelled` behind an exception.
    `on_status` is called with a copy of each new status, a few times a second.
    """

    def __init__(
        self,
        folder: str | Path,
        config: RunConfig,
        *,
        on_status: Callable[[Status], None] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.config = create_run(self.folder, config)
        self.seconds: dict[str, float] = {}  # of each phase that has ended
        self._on_status = on_status
        self._began = self._phase_began = time.monotonic()
        self._written_at = self._observed_at = -math.inf
        me = Worker.current()
        self.status = new_status("running")
        self.status.update(pid=me.pid, born=me.born, host=me.host)
        self._tell(now=True)

    def __enter__(self) -> "RunWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and self.status["state"] == "running":
            self.fail(error)

    @property
    def total_seconds(self) -> float:
        """Since this writer was made."""
        return time.monotonic() - self._began

    def phase(self, name: Phase, *, total: int = 0, message: str = "") -> None:
        """Begin the phase `name`; the one before it has ended."""
        assert name in PHASES, (name, PHASES)
        self._close_phase()
        self.status.update(phase=name, done=0, total=total, rate=None, eta_s=None)
        self.status["message"] = message
        self._log(f"{name}: {message}" if message else name)
        self._tell(now=True)

    def progress(self, done: int, total: int) -> None:
        """Say how far the phase is; cheap, so call it as often as you like."""
        passed = time.monotonic() - self._phase_began
        rate = done / passed if done and passed > 0 else None
        eta_s = (total - done) / rate if rate and total else None
        self.status.update(done=int(done), total=int(total), rate=rate, eta_s=eta_s)
        self._tell()

    def note(self, message: str) -> None:
        """Say something worth keeping in log.txt, and show it as the message."""
        self.status["message"] = message
        self._log(message)
        self._tell(now=True)

    def write_json(self, name: str, value: Any) -> None:
        """Write `value` (records, arrays and scalars too); NaN becomes null."""
        write_json(self.folder / name, value)

    def write_text(self, name: str, text: str) -> None:
        with replacing(self.folder / name) as path:
            path.write_text(text, encoding="utf-8")

    def write_frame(self, name: str, frame: pd.DataFrame) -> None:
        with replacing(self.folder / name) as path:
            frame.to_parquet(path, index=False)

    def write_frames(self, name: str, frames: Iterable[pd.DataFrame]) -> None:
        """Write frames of the same columns, one after another, as one table."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        left = iter(frames)
        first = pa.Table.from_pandas(next(left), preserve_index=False)
        with (
            replacing(self.folder / name) as path,
            pq.ParquetWriter(path, first.schema) as file,
        ):
            file.write_table(first)
            for frame in left:
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
        return Run(self.folder)

    def fail(self, error: BaseException) -> None:
        """Mark the run as failed by `error`, or cancelled if it was interrupted."""
        self._close_phase()
        self.status = ended(self.status, error)
        told = self.status["error"]
        if told is None:
            self._log("cancelled")
        else:
            self._log(f"failed: {told['message']}\n{told['traceback']}".rstrip())
        self._tell(now=True)

    def discard_if_unbegun(self) -> bool:
        """Remove the folder of a run that failed before its work began."""
        unbegun = self.status["phase"] in CHEAP_PHASES
        if unbegun:
            shutil.rmtree(self.folder)
        return unbegun

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
            write_json(self.folder / "status.json", self.status)
        if self._on_status and (now or clock - self._observed_at >= OBSERVE_EVERY_S):
            self._observed_at = clock
            self._on_status(self.status.copy())

    def _log(self, line: str) -> None:
        with (self.folder / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S}  {line}\n")


def ended(status: Status, error: BaseException) -> Status:
    """`status` after `error`: failed, or cancelled if it was an interruption."""
    if isinstance(error, KeyboardInterrupt):
        return {**status, "state": "cancelled", "message": "Cancelled.", "eta_s": None}
    mend = isinstance(error, StcError)
    trace = "" if mend else "".join(traceback.format_exception(error))
    said = str(error) if mend else f"{type(error).__name__}: {error}"
    return failed(status, said, mend=mend, trace=trace)


def create_run(folder: Path, config: RunConfig) -> RunConfig:
    """The settings as written to a new, queued run in `folder`, with their date."""
    if not config.created:
        now = datetime.now().astimezone().isoformat(timespec="milliseconds")
        config = config.model_copy(update={"created": now})
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    write_json(folder / "config.json", config)
    write_json(folder / "status.json", new_status("queued"))
    return config


def mark_cancelled(folder: Path) -> None:
    """Say so in a run whose worker is gone and cannot say it itself."""
    status = read_status(folder / "status.json")
    if status["state"] in BUSY:
        status.update(state="cancelled", message="Cancelled.", eta_s=None)
        write_json(folder / "status.json", status)
