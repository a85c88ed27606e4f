"""What every tuning of a run shares: its rows, its backbone, and who is told.

The files named here are in the folder of the run.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from stc_core.backbone import changes
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.loading import hub
from stc_core.config import TrainConfig, TuneConfig
from stc_core.data.corpus import Corpus
from stc_core.data.task import Task
from stc_core.runs.writer import RunWriter
from stc_core.tuning.readout import Readout
from stc_core.tuning.trainer import History, TrainingRows, train_module
from stc_core.types import Progress, silent

BACKBONE, CHECKPOINTS, TUNING = "backbone", "checkpoints", "tuning.json"


def _absolute(name: str) -> str:
    """A folder's name that means the same from anywhere: it is kept with the run."""
    folder = hub.local_folder(name)
    return name if folder is None else str(folder.absolute())


def loaded(
    settings: TrainConfig,
    max_length: int | None = None,
    *,
    progress: Progress = silent,
) -> Backbone:
    """The backbone of the settings, untouched."""
    return Backbone.load(
        _absolute(settings.backbone),
        device=settings.device,
        dtype=settings.dtype,
        max_length=max_length or settings.max_length,
        progress=progress,
    )


class _Kept(NamedTuple):
    """A tuned backbone in a run's folder, and how it was read while it was tuned."""

    folder: Path
    device: str
    dtype: str
    max_length: int

    def open(self) -> Backbone:
        """The backbone as anyone reads it from there."""
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
    """The tuned `backbone`, written to the run in `folder`.

    Open it when nothing holds the one in memory any more.
    """
    place = changes.save_changes(folder / BACKBONE, what, tensors)
    return _Kept(place, str(backbone.device), dtype, backbone.max_length)


def balanced(task: Task) -> Float[np.ndarray, " n_class"] | None:
    """n / (classes * rows of the class), over the training rows; None where all weigh
    the same."""
    if task.class_weight is None:
        return None
    counts = np.bincount(task.codes[task.train], minlength=len(task.classes))
    present = np.count_nonzero(counts)
    return (counts.sum() / (present * np.maximum(counts, 1))).astype(np.float32)


class TuningSession(NamedTuple):
    """Who learns what: the texts and classes of a run, with its settings.

    `tails` is what is to be written after each text, if anything.
    """

    corpus: Corpus
    task: Task
    settings: TrainConfig
    writer: RunWriter
    tails: Sequence[Sequence[np.ndarray]] | None = None

    def rows(
        self, backbone: Backbone, places: Int[np.ndarray, " some"]
    ) -> TrainingRows:
        """Some texts as the backbone reads them, with their classes."""
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
        **more: Any,
    ) -> History:
        """What `training.train` says of the training rows, held against validation.

        Its checkpoints are in the folder `name` of the run's; tuning.json says how it
        goes, beside what is `told` there: `under` a name of its own, or not if None.
        """
        task, writer = self.task, self.writer
        before = [-1]

        def tell(history: History, done: int, total: int) -> None:
            writer.progress(done, total)
            n = len(history.steps) + len(history.epochs)
            if under is None or n == before[0]:
                return
            before[0] = n
            record = {under: history.record()} if under else history.record()
            writer.write_json(TUNING, {**(told or {}), **record})

        if backbone.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(backbone.device)
        scale = "accuracy" if task.class_weight is None else "macro_f1"
        return train_module(
            readout,
            self.rows(backbone, task.train),
            self.rows(backbone, task.validation),
            tune or self.settings.tune,
            by=by or scale,
            seed=self.settings.seed,
            folder=writer.folder / CHECKPOINTS / name,
            tell=tell,
            **more,
        )
