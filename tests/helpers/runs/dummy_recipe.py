"""A recipe that only tests have: it answers the most frequent class of the training."""

import numpy as np

from helpers.metrics import whole_metrics
from stc_core.config import RunConfig, TrainConfig
from stc_core.data.corpus import read_corpus
from stc_core.errors import StcError
from stc_core.recipes.registry import RecipeCode
from stc_core.recipes.results import seconds_of, task_of
from stc_core.runs.layout import RunFile
from stc_core.runs.writer import RunWriter
from stc_core.selection.baselines import score_baseline
from stc_core.selection.guess import Guess


def read(config: RunConfig, writer: RunWriter) -> None:
    """The first step: write the rows."""
    corpus = read_corpus(config.data, validation_share=0.2, test_share=0.2, seed=0)
    writer.write_frame(RunFile.CORPUS, corpus.frame)
    writer.write_text(RunFile.REPORT, corpus.report.to_json())


def answer(config: RunConfig, writer: RunWriter) -> None:
    """The last step: score the most frequent class."""
    corpus = read_corpus(config.data, validation_share=0.2, test_share=0.2, seed=0)
    task, rows = task_of(corpus, config.train), corpus.rows("test")
    best = int(np.bincount(task.codes[task.train]).argmax())
    guess = Guess(np.full(len(rows), best), "")
    scores = score_baseline(task.codes[rows], guess)
    writer.write_metrics(
        whole_metrics(
            classes=list(task.classes),
            test={**scores, "n": len(rows)},
            baselines={"coin": scores},
            seconds=seconds_of(writer),
        )
    )


def refuse_limits(settings: TrainConfig, backbone: object) -> None:
    """Raise StcError if the settings have a limit of layers."""
    if settings.max_layer is not None:
        raise StcError("dummy", expected="no limit of layers")


CODE = RecipeCode((read, answer), check=refuse_limits)
