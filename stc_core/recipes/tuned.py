"""What the recipes that tune a backbone with a linear head share: a run like any other.

The head reads the mean of all tokens, so that the classifier has the form of every
other: a linear head on neurons of a backbone.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from stc_core.activations.row_file import RowFile, write_rows
from stc_core.backbone import changes
from stc_core.backbone.backbone import Backbone
from stc_core.config import RunConfig, TrainConfig
from stc_core.data.corpus import Corpus
from stc_core.data.task import Task
from stc_core.files import read_json
from stc_core.heads.head import SparseHead
from stc_core.probes.variability import measure_variability
from stc_core.recipes.ending import (
    ComparedClassifier,
    comparison_rows,
    corpus_of_run,
    cost_at,
    finish_tuned,
    seconds_with,
    sparse_half,
    sparse_seconds,
)
from stc_core.recipes.leads import answers_of, with_leads
from stc_core.recipes.results import estimator, evaluate, task_of, write_fitted
from stc_core.runs.layout import SPARSE, RunFile
from stc_core.runs.metrics import RunMetrics
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter
from stc_core.selection.baselines import score_baseline
from stc_core.selection.guess import Guess
from stc_core.selection.stc import Fitted
from stc_core.selection.streaming import activation_blocks, logits_at
from stc_core.tuning.blocks import (
    TunePlan,
)
from stc_core.tuning.history import History


class Tuned(NamedTuple):
    """A tuned backbone, the head after training, and the baseline before tuning.

    `frozen` are the test classes by the same head before tuning, `frozen_flops` the
    cost of that for one token.
    """

    backbone: Backbone
    head: SparseHead
    nu: Sequence[float]
    plan: TunePlan
    changes: changes.Changes
    history: History
    n_trainable: int
    frozen: Int[np.ndarray, " n_test"]
    frozen_flops: int


Tune = Callable[[Corpus, Task, TrainConfig, RunWriter], Tuned]
"""Tunes the backbone for the corpus and saves it in the run's folder `backbone`."""
Finalise = Callable[[Tuned, RowFile, Task], Fitted]
"""The final head, from the tuned activations of every row."""


def layer_nu(
    folder: Path, backbone: Backbone, corpus: Corpus, task: Task
) -> Sequence[float]:
    """nu of the layers: from the run's variability.json, or measured now."""
    path = folder / RunFile.VARIABILITY
    if path.is_file():
        told = read_json(path)["nu"]
        return [float("inf") if nu is None else nu for nu in told]
    texts = corpus.texts.at(task.train)
    return measure_variability(backbone, texts, task.codes[task.train]).nu


def tuned_metrics(
    before: RunMetrics,
    after: dict[str, Any],
    tuned: Tuned,
    fitted: Fitted,
    *,
    recipe: str,
) -> dict[str, Any]:
    """The metrics of the tuned run, from those of its sparse half and its own scores.

    Layers and names are those of the base backbone, the cost is that of the tuned one.
    """
    backbone, history = tuned.backbone, tuned.history
    width = len(tuned.head.features)
    return {
        **before,
        **after,
        "recipe": recipe,
        "tuning": {
            "method": tuned.changes.method,
            "layer": tuned.plan.layer,
            "blocks": list(tuned.plan.tuned),
            "width": tuned.changes.width,
            "nu": list(tuned.nu),
        },
        "neurons": {**before["neurons"], "selected": width, "unique": width},
        "layers": {**before["layers"], "used": tuned.plan.layer},
        "chosen": fitted.chosen,
        "cost": cost_at(before, backbone, tuned.plan.layer),
        "seconds": seconds_with(before, tune=history.seconds),
        "backbone": {**before["backbone"], "tuned": backbone.identity},
    }


def _comparison(
    before: RunMetrics, after: dict[str, Any], tuned: Tuned, peak_bytes: int
) -> list[dict[str, Any]]:
    """The table of results: tuned, frozen, stc, last layer.

    `before` are the metrics of the sparse half, `after` those of the tuned run, with
    `frozen` and `stc` among its baselines. The seconds are all that each classifier
    needs: those that only read the frozen backbone need its extraction.
    """
    n_class, width = len(after["classes"]), len(tuned.head.features)
    read, sparse = sparse_seconds(before)
    cost, others = before["cost"], after["baselines"]
    sparse_flops, whole = cost["flops_per_token"], cost["flops_per_token_total"]
    dense = n_class * (width + 1)
    n_sparse = n_class * (before["neurons"]["selected"] + 1)
    flops = after["cost"]["flops_per_token"]
    history = tuned.history
    frozen_half = [
        ("frozen", dense, read, tuned.frozen_flops),
        ("stc", n_sparse, sparse, sparse_flops),
        ("last_layer", dense, read, whole),
    ]
    rows = [
        ComparedClassifier(
            "tuned",
            after["test"],
            tuned.n_trainable,
            history.seconds,
            history.peak_bytes,
            flops,
        )
    ]
    rows += [
        ComparedClassifier(name, others[name], trained, seconds, peak_bytes, flops)
        for name, trained, seconds, flops in frozen_half
        if name in others
    ]
    return comparison_rows(rows, whole_flops=whole)


def tune_and_compare(
    config: RunConfig, writer: RunWriter, *, tune: Tune, finalise: Finalise
) -> None:
    """The last step of a recipe: replace the sparse classifier by a tuned one."""
    settings, run = config.train, Run(writer.folder)
    (before, peak), corpus = sparse_half(writer), corpus_of_run(run)
    task, n = task_of(corpus, settings), len(corpus.frame)
    tuned = tune(corpus, task, settings, writer)
    writer.phase("report", message="the tuned classifier")
    blocks = activation_blocks(
        tuned.backbone,
        corpus.texts,
        tuned.head.features,
        groups=task.groups,
        read=lambda site, rows: np.empty((0, 0), np.float32),
        known=np.full(n, -1),
        progress=writer.progress,
    )
    path, width = writer.folder / RunFile.ACTIVATIONS, len(tuned.head.features)
    activations = write_rows(path, blocks, n=n, width=width)
    fitted = finalise(tuned, activations, task)
    classifier = estimator(settings)
    classifier.adopt(tuned.backbone, np.array(task.classes), [], fitted)
    write_fitted(writer, classifier, corpus, task, activations)
    logits = logits_at(activations, fitted.head, corpus.rows("test"))
    after = evaluate(corpus, task, fitted.held, fitted.held_logits, logits)
    after = tuned_metrics(before, after, tuned, fitted, recipe=settings.recipe)
    y = task.codes[corpus.rows("test")]
    frozen = score_baseline(y, Guess(tuned.frozen, ""), n_class=len(task.classes))
    others = {"stc": before["test"], "frozen": frozen, **before["baselines"]}
    answers = {**answers_of(Run(writer.folder)), "frozen": tuned.frozen}
    ours, n_class = logits.argmax(axis=1), len(task.classes)
    after["baselines"] = with_leads(others, answers, y, ours, n_class=n_class)
    after["comparison"] = _comparison(before, after, tuned, peak)
    finish_tuned(writer, after, gone=SPARSE)
