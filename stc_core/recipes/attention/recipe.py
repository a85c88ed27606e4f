"""The recipe `attention` after its frozen half: attention over layers and tokens.

Source: FineText (arXiv 1910.11959), in our reading of its abstract. It begins as a
linear model of the mean and maximum over all layers and tokens, and learns from there
what to read.
"""

import shutil
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.attention import AttentionClassifier, TokenReadout, batches
from stc_core.classifiers.attention_pooling import PARTS, Attention
from stc_core.classifiers.estimator import SparsifyThenClassify
from stc_core.config import RunConfig, TrainConfig
from stc_core.data.corpus import Corpus
from stc_core.heads.head import softmax
from stc_core.metrics.scores import fit_temperature
from stc_core.recipes.attention.schedule import Taught, plan_blocks, train_attention
from stc_core.recipes.attention.uniform import (
    ALIKE,
    plain_heads,
    read_sites_of,
    vectors_alike,
)
from stc_core.recipes.results import evaluate, task_of
from stc_core.recipes.tables import prediction_table
from stc_core.runs import layout
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter
from stc_core.selection.baselines import Guess, score_baseline
from stc_core.selection.stc import Fitted
from stc_core.tuning.language_model import check_language
from stc_core.tuning.session import CHECKPOINTS, TuningSession, load_untuned
from stc_core.types import Site

_SPARSE = ("neurons.parquet", "activations.npy", *layout.SPARSE)
"""Files of the frozen half that such a run has no like of."""
SOME = 2000
"""Training rows whose mean an explanation is held against."""
_CHUNK = 4096


def check_attention(config: RunConfig, writer: RunWriter) -> None:
    """The first step: refuse a backbone that cannot learn so before any work."""
    going_on = (writer.folder / CHECKPOINTS).is_dir()
    if config.train.attention.schedule == "frozen" or going_on:
        return
    writer.phase("load", message=config.train.backbone)
    check_attention_settings(
        config.train, load_untuned(config.train, progress=writer.progress)
    )


def check_attention_settings(settings: TrainConfig, backbone: Backbone) -> None:
    """Raise StcError for settings that cannot be learned with on this backbone."""
    sites = read_sites_of(backbone, settings.max_layer)
    if settings.attention.schedule != "frozen":
        check_language(backbone)
        plan_blocks(backbone, sites, settings.tune)


def attentive(config: RunConfig, writer: RunWriter) -> None:
    """The last step: a reader by attention in the place of the sparse classifier."""
    settings, run = config.train, Run(writer.folder)
    before, report = run.metrics, run.report
    corpus = Corpus(run.corpus, report.columns, report)
    task = task_of(corpus, settings)
    backbone = load_untuned(settings)
    sites = read_sites_of(backbone, settings.max_layer)
    writer.phase("tune", message=f"attention over {len(sites)} layers")
    alike = vectors_alike(backbone, sites, corpus, progress=writer.progress)
    plain = plain_heads(alike, task, backbone, sites)
    lesson = TuningSession(corpus, task, settings, writer)
    found = train_attention(lesson, backbone, sites, alike)
    writer.phase("report", message="what attention reads")
    reader, logits = finalise_attention(found, sites, lesson)
    wanted = set(SparsifyThenClassify().get_params()) - {"backbone"}
    params = settings.model_dump(mode="json", include=wanted)
    reader.save(writer.folder / "model", params=params)
    writer.write_frames(
        "predictions.parquet", prediction_frames(reader, corpus, logits)
    )
    held = Fitted(found.head, (), {}, logits[task.validation])
    test = corpus.rows("test")
    after = evaluate(corpus, task, held, logits[test], settings.seed)
    after = {**before, **after, **_facts(reader, found, settings, before)}
    guesses = {name: head.logits(alike[name][test]) for name, head in plain.items()}
    new = {"stc": before["test"]}
    for name, logits_alike in guesses.items():
        guess = Guess(logits_alike.argmax(axis=1), "of all layers alike")
        new[name] = score_baseline(task.codes[test], guess, seed=settings.seed)
    after["baselines"] = {**new, **before["baselines"]}
    after["comparison"] = _comparison(before, after, found)
    writer.write_json("metrics.json", after)
    for name in _SPARSE:
        (writer.folder / name).unlink(missing_ok=True)
    shutil.rmtree(writer.folder / CHECKPOINTS, ignore_errors=True)


def finalise_attention(
    found: Taught, sites: Sequence[Site], lesson: TuningSession
) -> tuple[AttentionClassifier, Float[np.ndarray, "n n_class"]]:
    """The classifier in its last form, and its logits of every row.

    Its logits are those of training, divided by a temperature from validation.
    """
    backbone, attention, corpus = found.backbone, found.attention, lesson.corpus
    task, head = lesson.task, found.head
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

    logits = every_logit(reader(line), corpus, lesson.writer)
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


def every_logit(
    reader: AttentionClassifier, corpus: Corpus, writer: RunWriter
) -> Float[np.ndarray, "n n_class"]:
    """Logits of all rows of the corpus."""
    return reader.logits(corpus.texts, progress=writer.progress)


def prediction_frames(
    reader: AttentionClassifier, corpus: Corpus, logits: Float[np.ndarray, "n n_class"]
) -> Iterator[pd.DataFrame]:
    """What every run says of its rows."""
    names = tuple(str(name) for name in reader.classes_)
    for start in range(0, len(logits), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(logits)))
        some = corpus.take(rows)
        yield prediction_table(some, names, softmax(logits[rows])).assign(row=rows)


def _facts(
    reader: AttentionClassifier,
    found: Taught,
    settings: TrainConfig,
    before: dict[str, Any],
) -> dict[str, Any]:
    """What the classifier is made of, what it reads and what it costs."""
    backbone, top = reader.backbone_, max(reader.layers_)
    n_read = len(reader.layers_) * backbone.widths[reader.sites[-1]]
    seconds = {**before["seconds"], "tune": found.history.seconds}
    if found.words:
        seconds["words"] = found.words.seconds
    seconds["total"] = before["seconds"]["total"] + found.seconds
    shares = reader.attention_.layer_shares().tolist()
    tuned = {"tuned": backbone.identity} if found.blocks else {}
    return {
        "recipe": "attention",
        "attention": {
            "layers": list(reader.layers_),
            "layer_shares": shares,
            "per_class": settings.attention.per_class,
            "parts": list(PARTS),
            **schooling(found, settings),
        },
        "neurons": {**before["neurons"], "selected": n_read, "unique": n_read},
        "layers": {**before["layers"], "used": top},
        "chosen": {"epochs": found.history.epochs[-1].epoch},
        "cost": {
            **before["cost"],
            "parameters": backbone.parameters(top),
            "flops_per_token": backbone.flops_per_token(top),
        },
        "seconds": seconds,
        "backbone": {**before["backbone"], **tuned},
    }


def schooling(found: Taught, settings: TrainConfig) -> dict[str, Any]:
    """The schedule, what was tuned by it, and where the head over words came from."""
    wish = settings.attention
    said: dict[str, Any] = {"schedule": wish.schedule}
    if found.blocks:
        said |= {"blocks": list(found.blocks), "method": settings.tune.method}
    if found.own_words is not None:
        said["words"] = "own" if found.own_words else "tied"
    if wish.schedule == "multi-task":
        said["lm_weight"] = wish.lm_weight
    return said


class _Row(NamedTuple):
    name: str
    scores: dict[str, Any]
    trainable: int
    seconds: float
    peak_bytes: int | None
    flops: int


def _comparison(
    before: dict[str, Any], after: dict[str, Any], found: Taught
) -> list[dict[str, Any]]:
    """Rows of the result table: attention, poolings of all layers alike, stc, last.

    Seconds are of what each needs; one that only reads the frozen backbone needs its
    extraction.
    """
    n_class, width = len(after["classes"]), len(found.head.features)
    seconds, whole = before["seconds"], before["cost"]["flops_per_token_total"]
    read = seconds.get("extract", 0.0)
    sparse = read + sum(seconds.get(k, 0.0) for k in ("probe", "select", "head"))
    here, n_sparse = after["cost"]["flops_per_token"], before["neurons"]["selected"]
    one = n_class * (width // 3 + 1)
    others, history = after["baselines"], found.history
    peak = max(history.peak_bytes, found.words.peak_bytes if found.words else 0)
    learned = found.n_trainable
    rows = [_Row("attention", after["test"], learned, found.seconds, peak, here)]
    rows += [_Row(name, others[name], one, read, None, here) for name in ALIKE]
    flops = before["cost"]["flops_per_token"]
    trained = n_class * (n_sparse + 1)
    rows.append(_Row("stc", others["stc"], trained, sparse, None, flops))
    if "last_layer" in others:
        rows.append(_Row("last_layer", others["last_layer"], one, read, None, whole))
    return [
        {
            "name": row.name,
            **{k: row.scores[k] for k in ("accuracy", "accuracy_interval", "macro_f1")},
            "trainable": row.trainable,
            "seconds": row.seconds,
            "peak_bytes": row.peak_bytes,
            "flops_per_token": row.flops,
            "flops_share": row.flops / max(whole, 1),
        }
        for row in rows
    ]
