"""What a fitted classifier writes to its run: tables, activations, model, scores.

The test rows are scored here, once, after everything else is chosen.
"""

import resource
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int

from stc_core.activations.cost import TokenCounts, depth_seconds
from stc_core.activations.resolution import ResolvedReader
from stc_core.activations.row_file import RowFile
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.estimator import SparsifyThenClassify
from stc_core.config import TrainConfig
from stc_core.data.corpus import Corpus
from stc_core.data.goal import choose_goal
from stc_core.data.task import Task
from stc_core.heads.head import softmax
from stc_core.heads.head_file import save_heads
from stc_core.heads.word_readout import save_word_readouts
from stc_core.metrics.scores import (
    accuracy,
    expected_calibration_error,
    log_loss,
    macro_f1,
)
from stc_core.recipes import tables
from stc_core.runs.layout import RunFile
from stc_core.runs.writer import RunWriter
from stc_core.selection.baselines import score_baseline
from stc_core.selection.guess import Guess
from stc_core.selection.sample import Sample, refit_on_all_rows
from stc_core.selection.stc import Fitted
from stc_core.selection.streaming import logit_blocks, logits_at
from stc_core.types import PooledSite


class FitInputs(NamedTuple):
    """What a head is fitted and scored on: all rows, and the sample that chooses
    neurons."""

    backbone: Backbone
    corpus: Corpus
    task: Task
    sample: Sample
    read: ResolvedReader
    wanted: Sequence[PooledSite]
    tokens: TokenCounts | dict[str, int]

    @property
    def part(self) -> Corpus:
        """The rows of the sample, in its order."""
        sample, corpus = self.sample, self.corpus
        return corpus if sample.is_whole else corpus.take(sample.rows)


def finish_sparse(
    writer: RunWriter,
    classifier: SparsifyThenClassify,
    inputs: FitInputs,
    fitted: Fitted,
) -> dict[str, Any]:
    """Fit the head on all rows and write it; give the metrics without baselines."""
    backbone, corpus, task, sample, _, _, tokens = inputs
    writer.write_frame(RunFile.CURVES, tables.curve_table(fitted, backbone))
    writer.phase("head", message=f"{len(fitted.head.features):,} neurons")
    activations, fitted = refit_on_all_rows(
        sample,
        fitted,
        backbone=backbone,
        texts=corpus.texts,
        task=task,
        path=writer.folder / RunFile.ACTIVATIONS,
        progress=writer.progress,
    )
    classifier.adopt(backbone, np.array(task.classes), [], fitted)
    write_fitted(writer, classifier, corpus, task, activations)
    test = corpus.rows("test")
    logits = logits_at(activations, fitted.head, test)
    if fitted.words is not None:
        logits += fitted.words.logits(corpus.texts.at(test))
    metrics = evaluate(corpus, task, fitted.held, fitted.held_logits, logits)
    read = {"texts": sample.store.n, "cached": sample.store.n_cached}
    counts = tokens if isinstance(tokens, dict) else tokens._asdict() | read
    return metrics | _facts(backbone, fitted, inputs) | {"tokens": counts}


def write_frontier(writer: RunWriter, inputs: FitInputs, fitted: Fitted) -> None:
    """Write the frontier: the scores of the options of each depth, and its cost, timed
    now."""
    if not fitted.options:
        return
    backbone, sample = inputs.backbone, inputs.sample
    depths = sorted({option.deepest for option in fitted.options})
    seconds = depth_seconds(backbone, inputs.corpus.texts, inputs.wanted, depths)
    y_test = sample.task.codes[sample.test]
    n = len(fitted.held)
    frame = tables.frontier_table(fitted, backbone, seconds, y_test=y_test, n=n)
    writer.write_frame(RunFile.FRONTIER, frame)


def estimator(settings: TrainConfig) -> SparsifyThenClassify:
    """The unfitted classifier of these settings."""
    names = SparsifyThenClassify().get_params()
    given = {k: v for k, v in settings.model_dump().items() if k in names}
    reads_words = settings.recipe == "stc" and settings.preset == "stc"
    if not reads_words:
        given["words"] = "off"
    return SparsifyThenClassify(**given)


def task_of(corpus: Corpus, settings: TrainConfig) -> Task:
    """Class codes of all rows, in the order of the corpus' classes."""
    column = pd.Categorical(corpus.frame["label"], categories=list(corpus.classes))
    codes = column.codes.astype(np.int64)
    train, validation = corpus.rows("train"), corpus.rows("validation")
    goal = choose_goal(
        codes[np.concatenate([train, validation])],
        len(corpus.classes),
        criterion=settings.criterion,
        class_weight=settings.class_weight,
    )
    return Task(codes, corpus.classes, train, validation, goal)


def write_fitted(
    writer: RunWriter,
    classifier: SparsifyThenClassify,
    corpus: Corpus,
    task: Task,
    activations: RowFile,
) -> None:
    """Write the model, its neurons, and the predictions of all rows."""
    head, fitted = classifier.head_, classifier.fitted_
    classifier.save(writer.folder / "model")
    writer.write_frame(RunFile.NEURONS, tables.neuron_table(head))
    if fitted.fold_heads:
        save_heads(writer.folder / RunFile.FOLD_HEADS, fitted.fold_heads)
    if fitted.fold_words:
        save_word_readouts(writer.folder / RunFile.FOLD_WORDS, fitted.fold_words)
    # The final head has seen the held rows: they show what heads without them said.
    place, fold = np.full((2, activations.n), -1)
    place[fitted.held] = np.arange(len(fitted.held))
    if fitted.fold_heads:
        fold[fitted.held] = fitted.fold

    def predictions() -> Iterator[pd.DataFrame]:
        start = 0
        for logits in logit_blocks(activations, head, task.groups):
            rows = np.arange(start, start := start + len(logits))
            held = place[rows]
            if fitted.words is not None:
                logits += fitted.words.logits(corpus.texts.at(rows))
            logits[held >= 0] = fitted.held_logits[held[held >= 0]]
            some = corpus.take(rows)
            frame = tables.prediction_table(some, head.classes, softmax(logits))
            yield frame.assign(row=rows, held=fold[rows] >= 0, fold=fold[rows])

    writer.write_frames(RunFile.PREDICTIONS, predictions())


def evaluate(
    corpus: Corpus,
    task: Task,
    held: Int[np.ndarray, " n_held"],
    held_logits: Float[np.ndarray, "n_held n_class"],
    logits: Float[np.ndarray, "n_test n_class"],
) -> dict[str, Any]:
    """Our scores on test, whose rows have these logits, and on the held rows."""
    rows = corpus.rows("test")
    y, guess = task.codes[rows], logits.argmax(axis=1)
    probabilities = softmax(logits)
    levels = tables.level_scores(corpus, rows, np.array(task.classes)[guess])
    y_held = task.codes[held]
    held_guess = held_logits.argmax(axis=1)
    ours = score_baseline(y, Guess(guess, ""), n_class=len(task.classes))
    del ours["detail"]
    return {
        "classes": list(task.classes),
        "goal": task.goal._asdict(),
        "test": {
            **ours,
            "n": len(rows),
            "ece": expected_calibration_error(y, probabilities),
            "log_loss": log_loss(y, probabilities),
            "levels": levels,
        },
        "validation": {
            "accuracy": accuracy(y_held, held_guess),
            "macro_f1": macro_f1(y_held, held_guess),
            "n": len(y_held),
        },
    }


def _facts(backbone: Backbone, fitted: Fitted, inputs: FitInputs) -> dict[str, Any]:
    head = fitted.head
    return {
        "neurons": {
            "selected": len(head.features),
            "unique": len({(f.site, f.index) for f in head.features}),
            "total": sum(backbone.widths[wish.site] for wish in inputs.wanted),
            "left_out": inputs.read.left_out,
        },
        **_word_facts(fitted),
        "layers": {"used": head.layer, "total": backbone.n_layers},
        "chosen": fitted.chosen,
        "cost": {
            "parameters": backbone.parameters(head.layer),
            "parameters_total": backbone.parameters(),
            "flops_per_token": backbone.flops_per_token(head.layer),
            "flops_per_token_total": backbone.flops_per_token(),
        },
        "backbone": {
            "name": backbone.name,
            "identity": backbone.identity,
            "family": backbone.family,
            "n_layers": backbone.n_layers,
            "layer_names": list(backbone.layer_names),
            "max_length": backbone.max_length,
            "device": str(backbone.device),
            "dtype": str(backbone.dtype).removeprefix("torch."),
            "notes": list(backbone.notes),
        },
    }


def _word_facts(fitted: Fitted) -> dict[str, Any]:
    """What words gain, if it was tried."""
    if (choice := fitted.word_choice) is None:
        return {}
    read = () if fitted.words is None else fitted.words.words
    facts = {"share": choice.share, "gain": choice.gain, "error": choice.error}
    return {"words": {"selected": len(read), **facts}}


def peak_bytes() -> int:
    """The largest memory of this process so far: of the GPU if it uses one."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def seconds_of(writer: RunWriter) -> dict[str, float]:
    """Seconds of each finished phase; the present phase counts as `baselines`."""
    known = {k: v for k, v in writer.seconds.items() if k}
    total = writer.total_seconds
    known["baselines"] = total - sum(known.values())
    return {**known, "total": total}
