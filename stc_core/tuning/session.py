"""What all tunings of a run share: the rows, the backbone, the progress reports.

The files named here are in the folder of the run.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from stc_core.backbone import changes
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.loading import hub
from stc_core.config import TrainConfig
from stc_core.data.corpus import Corpus
from stc_core.data.task import Task
from stc_core.recipe_settings import TuneConfig
from stc_core.runs.layout import RunFile
from stc_core.runs.writer import RunWriter
from stc_core.tuning.history import History
from stc_core.tuning.readout import Readout
from stc_core.tuning.trainer import Tell, TrainingRows, train_module
from stc_core.types import Progress, silent

BACKBONE, CHECKPOINTS, TUNING = "backbone", "checkpoints", RunFile.TUNING


def absolute_name(name: str) -> str:
    """The absolute path of a local folder, which is valid anywhere; else `name`."""
    folder = hub.local_folder(name)
    return name if folder is None else str(folder.absolute())


def load_untuned(
    settings: TrainConfig,
    max_length: int | None = None,
    *,
    progress: Progress = silent,
) -> Backbone:
    """The backbone that the settings name, before any tuning."""
    return Backbone.load(
        absolute_name(settings.backbone),
        device=settings.device,
        dtype=settings.dtype,
        max_length=max_length or settings.max_length,
        progress=progress,
    )


class _Kept(NamedTuple):
    """A tuned backbone in the folder of a run, and the settings it was loaded with."""

    folder: Path
    device: str
    dtype: str
    max_length: int

    def open(self) -> Backbone:
        """The backbone, loaded from this folder."""
        return Backbone.load(
            str(self.folder.absolute()),
            device=self.device,
            dtype=self.dtype,
            max_length=self.max_length,
        )


def keep_tuned(
    folder: Path,
    what: changes.Changes,
    tensors: dict[str, Tensor],
    *,
    backbone: Backbone,
    dtype: str,
) -> _Kept:
    """Write the tuned `backbone` to the run in `folder`; return the saved one.

    Open the saved one only after the one in memory is no longer used.
    """
    place = changes.save_changes(folder / BACKBONE, what, tensors)
    return _Kept(place, str(backbone.device), dtype, backbone.max_length)


class TuningSession(NamedTuple):
    """The texts, classes, settings and writer of a run that is tuned.

    `tails` are the token ids to write after each text, if there are any.
    """

    corpus: Corpus
    task: Task
    settings: TrainConfig
    writer: RunWriter
    tails: Sequence[Sequence[np.ndarray]] | None = None

    def rows(
        self, backbone: Backbone, places: Int[np.ndarray, " some"]
    ) -> TrainingRows:
        """The token ids and classes of some texts, and their tails."""
        texts = list(self.corpus.texts.at(places))
        after = None if self.tails is None else [self.tails[row] for row in places]
        return TrainingRows(
            backbone.tokenize(texts).ids, self.task.codes[places], after
        )

    def train(
        self,
        readout: Readout,
        backbone: Backbone,
        *,
        name: str = "",
        tune: TuneConfig | None = None,
        by: str | None = None,
        told: dict[str, Any] | None = None,
        under: str | None = "",
        order: Int[np.ndarray, " seen"] | None = None,
        **more: Any,
    ) -> History:
        """Train `readout` on the training rows; return the history of `train_module`.

        Epochs are judged on the validation rows: by the score of the task's goal, or by
        `by`. Checkpoints are kept in the folder
        `name` of the run's checkpoints. tuning.json gets the history beside `told`:
        under the name `under`, at its top level if that is empty, not at all if None.
        With an `order` an epoch takes the training rows at these places, one after
        another.
        """
        task, writer = self.task, self.writer
        if backbone.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(backbone.device)
        readout.criterion = task.goal.score
        return train_module(
            readout,
            self.rows(backbone, task.train if order is None else task.train[order]),
            self.rows(backbone, task.validation),
            tune or self.settings.tune,
            by=by or "goal_score",
            seed=self.settings.seed,
            folder=writer.folder / CHECKPOINTS / name,
            tell=_history_writer(writer, told or {}, under),
            note=writer.note,
            in_order=order is not None,
            **more,
        )


def _history_writer(writer: RunWriter, told: dict[str, Any], under: str | None) -> Tell:
    """A function that reports progress, and writes tuning.json when it has changed."""
    written = [-1]

    def tell(history: History, done: int, total: int) -> None:
        writer.progress(done, total)
        n = len(history.steps) + len(history.epochs)
        if under is None or n == written[0]:
            return
        written[0] = n
        record = {under: history.record()} if under else history.record()
        writer.write_json(TUNING, {**told, **record})

    return tell
