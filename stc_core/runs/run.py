"""The run folder, which is the only thing that the worker and the app share.

Its writer (`writer.RunWriter`) replaces each file atomically, so a reader always sees
a complete state, which may be an older one.
"""

import os
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from stc_core.classifiers.archive import opened_folder
from stc_core.config import KEPT, RUN_FORMAT, RunConfig
from stc_core.errors import StcError
from stc_core.files import folder_bytes, read_tail, read_text
from stc_core.frozen import Frozen, SettingError
from stc_core.paths import runs_folder
from stc_core.runs.annotations import read_about
from stc_core.runs.environment import RunEnvironment, read_environment
from stc_core.runs.layout import OF_ROWS, SPARSE, RunFile
from stc_core.runs.processes.worker import Worker
from stc_core.runs.run_frames import MissingFile, RunFrames
from stc_core.runs.run_summary import (
    RunResult,
    RunSummary,
    result_of,
    run_title,
    settings_facts,
    settings_line,
)
from stc_core.runs.status import (
    BUSY,
    Status,
    failed_status,
    new_status,
    observe_status,
    read_status,
    worker_of,
)

if TYPE_CHECKING:
    from stc_core.classifiers.base import BaseClassifier
    from stc_core.data.findings import Report
    from stc_core.data.goal import Goal
    from stc_core.heads.head import SparseHead
    from stc_core.heads.word_readout import WordReadout
    from stc_core.probes.directions import Directions
    from stc_core.types import PooledSite


R = TypeVar("R", bound=Frozen)
_REPLACED = frozenset((*SPARSE, RunFile.NEURONS, RunFile.ACTIVATIONS))
"""What a run may lack because a classifier of its recipe replaced the sparse one."""
WITH_TEXTS = "Export the run again with --texts, and import that file."
"""What gives a run its texts that was packed without them."""
EXAMPLE = "Example: "
"""How the name of a run begins that came with the program."""


class Run(RunFrames):
    """A reader of one run folder; all properties but `config` read their file again.

    The columns of its data frames are in `stc_core.runs.layout.FRAME_COLUMNS`.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    def _repr_html_(self) -> str:
        """The run in a notebook: its name, its settings and its scores."""
        summary = self.summary()
        lines = [f"{run_title(summary)} ({summary.state})", settings_line(summary)]
        head = "<br>".join(escape(line) for line in lines if line)
        if summary.result is None:
            return f"<p>{head}</p>"
        scores = self.scores.drop(columns="name").round(3)
        return f"<p>{head}</p>{scores.to_html(index=False, na_rep='')}"

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """The run in `folder`, which may also be the file of a bundle.

        Raises StcError if there is no run or its settings cannot be read.
        """
        run = cls(opened_folder(folder))
        if not (run.folder / RunFile.CONFIG).is_file():
            is_folder = run.folder.is_dir()
            raise StcError(
                f"run {str(folder)!r}",
                expected="a folder with a config.json"
                if is_folder
                else "a run, or the file of a bundle",
                got="a folder without one" if is_folder else "no such file or folder",
                remedy="Check the path or the name; `stc runs` lists the runs.",
            )
        _ = run.config
        return run

    @cached_property
    def config(self) -> RunConfig:
        path = self.folder / RunFile.CONFIG
        config = _record(path, RunConfig)
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
        """The later name of the run, else that of its settings, else of its folder.

        That of the example begins with `EXAMPLE`, whatever it was renamed to.
        """
        return f"{EXAMPLE}{self.base_name}" if self.is_example else self.base_name

    @property
    def base_name(self) -> str:
        """The name without `EXAMPLE`, from which runs made from this one are named."""
        try:
            renamed = read_about(self.folder).name
            return (renamed or self.config.name or self.folder.name).removeprefix(
                EXAMPLE
            )
        except StcError:
            return self.folder.name

    @property
    def is_example(self) -> bool:
        """True for the run that came with the program; False if it is unreadable."""
        try:
            return self.config.example
        except StcError:
            return False

    @property
    def created(self) -> str:
        """The time when the user started it, ISO 8601; empty if unreadable."""
        try:
            return self.config.created
        except StcError:
            return ""

    @property
    def status(self) -> Status:
        """The status of the run; it is "failed" also if the worker died or the
        settings cannot be read."""
        try:
            _ = self.config
            return observe_status(self.folder)
        except StcError as error:
            return failed_status(new_status("failed"), str(error), mend=True)

    def worker(self, status: Status | None = None) -> Worker | None:
        """The process that works on the run; None if it is not known.

        It is named in status.json, or in worker.json right after the start.
        """
        status = status or read_status(self.folder / RunFile.STATUS)
        return worker_of(self.folder, status)

    def summary(self, *, measure: bool = False) -> RunSummary:
        """The facts of the run for one line; with `measure` also its size on disk.

        A damaged file leaves its facts empty, because it must not break a list of runs.
        """
        state = self.status["state"]
        try:
            settings = settings_facts(self.config)
        except StcError:
            settings = {}
        return RunSummary(
            folder=self.folder,
            name=self.name,
            state=state,
            tags=read_about(self.folder).tags,
            result=self._result() if state == "done" else None,
            n_bytes=folder_bytes(self.folder) if measure else None,
            **settings,
        )

    def _result(self) -> RunResult | None:
        try:
            return result_of(self.metrics)
        except StcError:
            return None

    @property
    def done(self) -> bool:
        return self.status["state"] == "done"

    @property
    def goal(self) -> "Goal":
        """The score that chose, and the weights of classes, as training settled them.

        Before there are metrics, and in runs made before December 2026, it is what the
        settings say; `auto` is accuracy with equal weights there.
        """
        from stc_core.data.goal import Goal, choose_goal

        if self.has(RunFile.METRICS) and (kept := self.metrics.get("goal")):
            return Goal(**kept)
        train = self.config.train
        return choose_goal(
            np.zeros(0, int),
            0,
            criterion=train.criterion,
            class_weight=train.class_weight,
        )

    @property
    def report(self) -> "Report":
        from stc_core.data.findings import Report

        return _record(self._written(RunFile.REPORT), Report)

    @property
    def environment(self) -> RunEnvironment | None:
        """What the run was computed with; None if it does not say."""
        return read_environment(self.folder)

    @property
    def fold_heads(self) -> tuple["SparseHead", ...]:
        """The heads that judged the held rows, by `fold` of predictions.parquet.

        Older runs, and those whose final head has not seen the held rows, have none.
        """
        from stc_core.heads.head_file import load_heads

        path, where = self.folder / RunFile.FOLD_HEADS, f"run {str(self.folder)!r}"
        if not path.is_file():
            return ()
        return load_heads(path, tuple(self.metrics["classes"]), where=where)

    @property
    def fold_words(self) -> tuple["WordReadout | None", ...]:
        """What each of `fold_heads` reads of words; None if it reads none."""
        from stc_core.heads.word_readout import load_word_readouts

        path, where = self.folder / RunFile.FOLD_WORDS, f"run {str(self.folder)!r}"
        if not path.is_file():
            return (None,) * len(self.fold_heads)
        return load_word_readouts(path, where=where)

    @property
    def activations(self) -> np.ndarray:
        """The raw pooled values (corpus row, neuron), memory-mapped."""
        return np.load(self._written(RunFile.ACTIVATIONS), mmap_mode="r")

    def classifier(self, **arguments: Any) -> "BaseClassifier":
        """The fitted classifier, ready to predict and explain."""
        from stc_core.classifiers.loading import open_classifier

        return open_classifier(self._written("model"), **arguments)

    def directions(self, **arguments: Any) -> "Directions":
        """The weights of the classifier's head in the units of raw activations.

        Each has the name of the module where it applies. `arguments` are those of
        `classifier`.
        """
        return self.classifier(**arguments).directions()

    def probe_directions(self, **arguments: Any) -> "dict[PooledSite, Directions]":
        """The same for the best probe of each site and pooling.

        Only runs of the recipe stc keep them; StcError for others.
        """
        from stc_core.probes import directions

        probes = directions.read_probe_weights(self._written(RunFile.PROBE_WEIGHTS))
        backbone = self.classifier(**arguments).backbone_
        classes = self.metrics["classes"]
        return directions.probe_directions(probes, backbone, classes)

    def log_tail(self, n_lines: int = 30) -> str:
        """The last lines of log.txt; empty if there is no log."""
        return read_tail(self.folder / RunFile.LOG, n_lines)

    def check_folder(self) -> None:
        """Raise a StcError if the folder was deleted or moved meanwhile."""
        if not self.folder.is_dir():
            raise StcError(
                f"run {str(self.folder)!r}",
                expected="the folder that was opened",
                got="no such folder",
                remedy="It was deleted or moved meanwhile; `stc runs` lists the runs.",
            )

    def _written(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            self.check_folder()
            state = self.status["state"]
            busy = state in BUSY
            recipe = self.config.train.recipe
            if state == "done" and name in _REPLACED and recipe != "stc":
                raise MissingFile(
                    f"run {str(self.folder)!r} has no {name}",
                    expected="a run of the recipe stc",
                    got=f"one of the recipe {recipe}, which keeps no weights of its "
                    "probes and no sparse classifier: its own takes that place",
                    remedy="Train with the recipe stc.",
                )
            if state == "done" and name in OF_ROWS and not self.has(RunFile.CORPUS):
                raise MissingFile(
                    f"run {str(self.folder)!r} has no {name}",
                    expected="a run with its texts",
                    got="one that came without them",
                    remedy=WITH_TEXTS,
                )
            raise MissingFile(
                f"run {str(self.folder)!r} has no {name} (it is {state})",
                remedy="Wait until it is done." if busy else "Train again.",
            )
        return path


def _record(path: Path, kind: type[R]) -> R:
    """The record in a file of a run; a StcError names the setting that is not valid."""
    try:
        return kind.model_validate_json(read_text(path), context={KEPT: True})
    except SettingError as error:
        raise StcError(
            f"{path}, {error.where}",
            expected=error.expected,
            got=error.got,
            remedy="Train again into another folder, or remove this one.",
        ) from error


def list_runs(folder: str | Path | None = None) -> list[Run]:
    """The runs in `folder` (default: runs_folder()), newest first.

    A run with damaged settings is included, at the end. Other folders are left out.
    """
    folder = Path(folder) if folder is not None else runs_folder()
    if not folder.is_dir():
        return []
    runs = [
        Run(entry.path)
        for entry in os.scandir(folder)
        if not entry.name.startswith(".")
        and entry.is_dir()
        and (Path(entry.path) / RunFile.CONFIG).is_file()
    ]
    return sorted(runs, key=lambda run: (run.created, run.folder.name), reverse=True)
