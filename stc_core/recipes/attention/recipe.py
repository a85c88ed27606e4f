"""The recipe `attention` after its frozen half: attention over layers and tokens.

Source: FineText (arXiv 1910.11959), in our reading of its abstract. It begins as a
linear model of the mean and maximum over all layers and tokens, and learns from there
what to read.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from stc_core.activations.groups import shared_progress
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.attention import AttentionClassifier, TokenReadout, batches
from stc_core.classifiers.attention_pooling import PARTS, Attention
from stc_core.classifiers.estimator import SparsifyThenClassify
from stc_core.config import RunConfig, TrainConfig
from stc_core.metrics.scores import fit_temperature
from stc_core.recipes.attention.schedule import (
    TrainedAttention,
    plan_blocks,
    train_attention,
)
from stc_core.recipes.attention.uniform import (
    ALIKE,
    read_sites_of,
    uniform_heads,
    uniform_vectors,
)
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
from stc_core.recipes.registry import RecipeCode
from stc_core.recipes.results import evaluate, task_of
from stc_core.recipes.sparse import stop_if_interrupted, train_sparse
from stc_core.recipes.tables import prediction_frames
from stc_core.runs.layout import SPARSE, RunFile
from stc_core.runs.metrics import RunMetrics
from stc_core.runs.run import Run
from stc_core.runs.stages import RunStage
from stc_core.runs.writer import RunWriter
from stc_core.selection.baselines import score_baseline
from stc_core.selection.guess import Guess
from stc_core.tuning.language_model import check_language
from stc_core.tuning.session import TuningSession, load_untuned
from stc_core.types import Site

_SPARSE = (RunFile.NEURONS, RunFile.ACTIVATIONS, *SPARSE)
"""Files of the sparse half that a run by attention does not have."""
SOME = 2000
"""Explanations compare a text with the mean of this many training rows."""


def check_attention(config: RunConfig, writer: RunWriter) -> None:
    """The first step: refuse a backbone that this schedule cannot train, before any
    work."""
    is_checked = RunStage.SPARSE in writer.stages
    if config.train.attention.schedule == "frozen" or is_checked:
        return
    writer.phase("load", message=config.train.backbone)
    check_attention_settings(
        config.train, load_untuned(config.train, progress=writer.progress)
    )


def check_attention_settings(settings: TrainConfig, backbone: Backbone) -> None:
    """Raise StcError if this backbone cannot be trained with these settings."""
    sites = read_sites_of(backbone, settings.max_layer)
    if settings.attention.schedule != "frozen":
        check_language(backbone)
        plan_blocks(backbone, sites, settings.tune)


def tune_attention(config: RunConfig, writer: RunWriter) -> None:
    """The last step: replace the sparse classifier by one that reads by attention."""
    settings, run = config.train, Run(writer.folder)
    before, corpus = sparse_half(writer).metrics, corpus_of_run(run)
    task = task_of(corpus, settings)
    backbone = load_untuned(settings)
    sites = read_sites_of(backbone, settings.max_layer)
    writer.phase("tune", message=f"attention over {len(sites)} layers")
    alike = uniform_vectors(
        backbone, sites, corpus.texts, task.groups, progress=writer.progress
    )
    plain = uniform_heads(alike, task, backbone, sites)
    session = TuningSession(corpus, task, settings, writer)
    found = train_attention(session, backbone, sites, alike)
    writer.phase("report", message="what attention reads")
    reader, logits = finalise_attention(found, sites, session)
    wanted = set(SparsifyThenClassify().get_params()) - {"backbone"}
    params = settings.model_dump(mode="json", include=wanted)
    reader.save(writer.folder / "model", params=params)
    names = tuple(str(name) for name in reader.classes_)
    frames = prediction_frames(corpus, names, logits)
    writer.write_frames(RunFile.PREDICTIONS, frames)
    test, held = corpus.rows("test"), task.validation
    after = evaluate(corpus, task, held, logits[held], logits[test])
    after = {**before, **after, **_facts(reader, found, settings, before)}
    guesses = {name: head.logits(alike[name][test]) for name, head in plain.items()}
    new: dict[str, Any] = {"stc": before["test"]}
    answers, y = answers_of(Run(writer.folder)), task.codes[test]
    for name, logits_alike in guesses.items():
        answers[name] = logits_alike.argmax(axis=1)
        guess = Guess(answers[name], "of all layers alike")
        new[name] = score_baseline(y, guess, n_class=len(task.classes))
    others, ours = {**new, **before["baselines"]}, logits[test].argmax(axis=1)
    after["baselines"] = with_leads(others, answers, y, ours, n_class=len(task.classes))
    after["comparison"] = _comparison(before, after, found)
    finish_tuned(writer, after, gone=_SPARSE)


def finalise_attention(
    found: TrainedAttention, sites: Sequence[Site], session: TuningSession
) -> tuple[AttentionClassifier, Float[np.ndarray, "n n_class"]]:
    """The classifier in its last form, and its logits of every row.

    Its logits are those of training, divided by a temperature from validation.
    """
    backbone, attention, corpus = found.backbone, found.attention, session.corpus
    task, head = session.task, found.head
    weight = torch.from_numpy(head.weight / head.sd)
    rows = task.train[:: max(1, len(task.train) // SOME)]
    center = average_parts(backbone, sites, attention, list(corpus.texts.at(rows)))
    center = center.cpu()
    moved = ((center.sum(0) - torch.from_numpy(head.mean)) * weight).sum(-1)
    line = TokenReadout(weight, torch.from_numpy(head.bias) + moved, center)
    layers, classes = [site.layer for site in sites], task.classes

    def reader(by: TokenReadout) -> AttentionClassifier:
        return AttentionClassifier(
            backbone, attention, by, layers=layers, classes=classes
        )

    logits = logits_of_rows(reader(line), session)
    temperature = fit_temperature(logits[task.validation], task.codes[task.validation])
    cooled = line._replace(weight=weight / temperature, bias=line.bias / temperature)
    return reader(cooled), logits / temperature


def average_parts(
    backbone: Backbone,
    sites: Sequence[Site],
    attention: Attention,
    texts: Sequence[str],
) -> torch.Tensor:
    """What each layer adds to the vector of the average text: (layer, query, 3 d)."""
    attention = attention.to(backbone.device)

    def make(states: Sequence[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
        parts = attention.by_layer(states, mask).vectors()
        return parts.sum(0, dtype=torch.float64)

    sums = [found for _, found in batches(backbone, texts, sites, make)]
    return (torch.stack(sums).sum(0) / len(texts)).float()


def logits_of_rows(
    reader: AttentionClassifier, session: TuningSession
) -> Float[np.ndarray, "n n_class"]:
    """Logits of all rows; test rows are read apart from the others."""
    texts, groups = session.corpus.texts, session.task.groups
    shares = shared_progress(session.writer.progress, list(map(len, groups)))
    out = np.empty((len(texts), len(reader.classes_)), np.float32)
    for rows, share in zip(groups, shares, strict=True):
        out[rows] = reader.logits(texts.at(rows), progress=share)
    return out


def _facts(
    reader: AttentionClassifier,
    found: TrainedAttention,
    settings: TrainConfig,
    before: RunMetrics,
) -> dict[str, Any]:
    """What the classifier is made of, what it reads and what it costs."""
    backbone, top = reader.backbone_, max(reader.layers_)
    n_read = len(reader.layers_) * backbone.widths[reader.sites[-1]]
    words = {"words": found.words.seconds} if found.words else {}
    seconds = seconds_with(before, tune=found.history.seconds, **words)
    shares = reader.attention_.layer_shares().tolist()
    tuned = {"tuned": backbone.identity} if found.blocks else {}
    return {
        "recipe": "attention",
        "attention": {
            "layers": list(reader.layers_),
            "layer_shares": shares,
            "per_class": settings.attention.per_class,
            "parts": list(PARTS),
            **schedule_facts(found, settings),
        },
        "neurons": {**before["neurons"], "selected": n_read, "unique": n_read},
        "layers": {**before["layers"], "used": top},
        "chosen": {"epochs": found.history.epochs[-1].epoch},
        "cost": cost_at(before, backbone, top),
        "seconds": seconds,
        "backbone": {**before["backbone"], **tuned},
    }


def schedule_facts(found: TrainedAttention, settings: TrainConfig) -> dict[str, Any]:
    """The schedule, the blocks that it tuned, and the origin of the head over words."""
    wish = settings.attention
    said: dict[str, Any] = {"schedule": wish.schedule}
    if found.blocks:
        said |= {"blocks": list(found.blocks), "method": settings.tune.method}
    if found.own_words is not None:
        said["words"] = "own" if found.own_words else "tied"
    if wish.schedule == "multi-task":
        said["lm_weight"] = wish.lm_weight
    return said


def _comparison(
    before: RunMetrics, after: dict[str, Any], found: TrainedAttention
) -> list[dict[str, Any]]:
    """The table of results: attention, uniform poolings, stc, last layer.

    The seconds are all that each classifier needs: those that only read the frozen
    backbone need its extraction.
    """
    n_class, width = len(after["classes"]), len(found.head.features)
    read, sparse = sparse_seconds(before)
    whole = before["cost"]["flops_per_token_total"]
    others, history = after["baselines"], found.history
    peak = max(history.peak_bytes, found.words.peak_bytes if found.words else 0)
    dense = n_class * (width // 3 + 1)
    n_sparse = n_class * (before["neurons"]["selected"] + 1)
    here = after["cost"]["flops_per_token"]
    there = before["cost"]["flops_per_token"]
    rows = [
        ComparedClassifier(
            "attention", after["test"], found.n_trainable, found.seconds, peak, here
        )
    ]
    frozen_half = [
        *((name, dense, read, here) for name in ALIKE),
        ("stc", n_sparse, sparse, there),
        ("last_layer", dense, read, whole),
    ]
    rows += [
        ComparedClassifier(name, others[name], trained, seconds, None, flops)
        for name, trained, seconds, flops in frozen_half
        if name in others
    ]
    return comparison_rows(rows, whole_flops=whole)


CODE = RecipeCode(
    (check_attention, train_sparse, stop_if_interrupted, tune_attention),
    check=check_attention_settings,
)
