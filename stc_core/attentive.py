"""The recipe `attention` after its frozen half: attention over layers and tokens.

Source: FineText (arXiv 1910.11959), in our reading of its abstract. It begins as a
linear model of the mean and maximum over all layers and tokens, and learns from there
what to read.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from stc_core import adapt
from stc_core.attention import PARTS, Attention
from stc_core.axes import Site
from stc_core.backbone import Backbone
from stc_core.baselines import Guess, scored
from stc_core.classifier import SparsifyThenClassify
from stc_core.config import RunConfig, TrainConfig
from stc_core.course import balanced, loaded
from stc_core.data import Corpus
from stc_core.errors import StcError
from stc_core.focus import Focus, vector_features
from stc_core.head import SparseHead, softmax
from stc_core.metrics import fit_temperature
from stc_core.pooling import pool
from stc_core.reader import Line, Reader, batches
from stc_core.results import evaluate, task_of
from stc_core.run import Run
from stc_core.sparsify import Fitted
from stc_core.tables import prediction_table
from stc_core.task import Task
from stc_core.training import History, Rate, train
from stc_core.training import Rows as Texts
from stc_core.writer import RunWriter

SPARSE = ("neurons.parquet", "activations.npy", *adapt.SPARSE)
"""Files of the frozen half that such a run has no like of."""
WARMUP = 0.1
SOME = 2000
"""Training rows whose mean an explanation is held against."""
CHUNK = 4096
ALIKE = ("mean", "max", "last")
"""What attention is compared with: poolings of all layers in equal shares."""


def attentive(config: RunConfig, writer: RunWriter) -> None:
    """The last step: a reader by attention in the place of the sparse classifier."""
    settings, run = config.train, Run(writer.folder)
    before, report = run.metrics, run.report
    corpus = Corpus(run.corpus, report.columns, report)
    task = task_of(corpus, settings)
    backbone = loaded(settings)
    sites = read_sites_of(backbone, settings.max_layer)
    writer.phase("tune", message=f"attention over {len(sites)} layers")
    alike = vectors_alike(backbone, sites, corpus, writer)
    plain = plain_heads(alike, task, backbone, sites)
    focus = Focus(
        backbone,
        sites,
        seeded(backbone, sites, task, settings),
        first_head(alike, task, backbone, sites),
        class_weight=balanced(task),
    )
    history = fitted(focus, backbone, corpus, task, settings, writer)
    writer.phase("report", message="what attention reads")
    reader, logits = settled(focus, backbone, sites, corpus, task, writer)
    wanted = set(SparsifyThenClassify().get_params()) - {"backbone"}
    params = settings.model_dump(mode="json", include=wanted)
    reader.save(writer.folder / "model", params=params)
    writer.write_frames(
        "predictions.parquet", prediction_frames(reader, corpus, logits)
    )
    held = Fitted(focus.linear_head(), (), {}, logits[task.validation])
    test = corpus.rows("test")
    after = evaluate(corpus, task, held, logits[test], settings.seed)
    after = {**before, **after, **facts(reader, history, settings, before)}
    guesses = {name: head.logits(alike[name][test]) for name, head in plain.items()}
    new = {"stc": before["test"]}
    for name, found in guesses.items():
        guess = Guess(found.argmax(axis=1), "of all layers alike")
        new[name] = scored(task.codes[test], guess, seed=settings.seed)
    after["baselines"] = {**new, **before["baselines"]}
    after["comparison"] = comparison(before, after, focus, history)
    writer.write_json("metrics.json", after)
    for name in SPARSE:
        (writer.folder / name).unlink(missing_ok=True)
    shutil.rmtree(writer.folder / adapt.CHECKPOINTS, ignore_errors=True)


def read_sites_of(backbone: Backbone, max_layer: int | None) -> list[Site]:
    """The hidden states that attention reads: of one stack, all of one width.

    Of an encoder-decoder the encoder's, as its tokens are in the same places.
    """
    stack = [site for site in backbone.sites if site.kind == "resid"]
    stack = [site for site in stack if not backbone.reads_shifted(site)]
    width = backbone.widths[max(stack)]
    found = [
        site
        for site in sorted(stack)
        if backbone.widths[site] == width
        and (max_layer is None or site.layer <= max_layer)
    ]
    if not found:
        raise StcError(
            f"layers of {backbone.name} to read",
            expected=f"one with {width} dimensions among them",
            got=f"none up to layer {max_layer}",
            remedy="Raise --max-layer.",
        )
    return found


def vectors_alike(
    backbone: Backbone, sites: Sequence[Site], corpus: Corpus, writer: RunWriter
) -> dict[str, Float[np.ndarray, "n d"]]:
    """Every text by each of ALIKE, all layers and tokens in equal shares."""
    width, n = backbone.widths[sites[-1]], len(corpus.frame)
    uniform = Attention(len(sites), width).to(backbone.device)

    def make(states: Sequence[torch.Tensor], mask: torch.Tensor) -> list[torch.Tensor]:
        z = torch.stack(uniform.layers(states, mask)).sum(0)
        return [pool(z, mask, name).cpu() for name in ALIKE]

    out = {name: np.empty((n, width), np.float32) for name in ALIKE}
    done = 0
    for rows, found in batches(backbone, corpus.texts, sites, make):
        for name, block in zip(ALIKE, found, strict=True):
            out[name][rows] = block.numpy()
        done += len(rows)
        writer.progress(done, n)
    return out


def plain_heads(
    alike: Mapping[str, Float[np.ndarray, "n d"]],
    task: Task,
    backbone: Backbone,
    sites: Sequence[Site],
) -> dict[str, SparseHead]:
    """A linear model of each pooling, as what attention is compared with."""
    features = vector_features(backbone, sites)
    part = _some(task)
    return {
        name: adapt.best_ridge(X, part, features[: X.shape[1]])
        for name, X in alike.items()
    }


def first_head(
    alike: Mapping[str, Float[np.ndarray, "n d"]],
    task: Task,
    backbone: Backbone,
    sites: Sequence[Site],
) -> SparseHead:
    """The linear model of a text's first vector: attention, max and mean.

    Attention begins as the mean, so each has half of the mean's weight.
    """
    features = vector_features(backbone, sites)
    X = np.concatenate([alike["mean"], alike["max"]], axis=1)
    head = adapt.best_ridge(X, _some(task), features[: X.shape[1]])
    d = X.shape[1] // 2

    def spread(values: np.ndarray, share: float = 1.0) -> np.ndarray:
        mean, most = values[..., :d], values[..., d:]
        return np.concatenate([share * mean, most, share * mean], axis=-1)

    return head._replace(
        features=features,
        mean=spread(head.mean),
        sd=spread(head.sd),
        weight=spread(head.weight, 0.5),
    )


def _some(task: Task) -> Task:
    return task._replace(train=adapt.some_rows(task.train))


def seeded(
    backbone: Backbone, sites: Sequence[Site], task: Task, settings: TrainConfig
) -> Attention:
    """The untrained attention: the same for the same seed."""
    n_query = len(task.classes) if settings.attention.per_class else 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return Attention(len(sites), backbone.widths[sites[-1]], n_query)


def fitted(
    focus: Focus,
    backbone: Backbone,
    corpus: Corpus,
    task: Task,
    settings: TrainConfig,
    writer: RunWriter,
) -> History:
    """Trains it on the training rows, and tells so in tuning.json.

    The rates fall to zero and the last epoch stays: on a small validation set the
    choice of an epoch is luck.
    """
    wish = {"epochs": settings.attention.epochs}

    def rows(places: Int[np.ndarray, " some"]) -> Texts:
        texts = list(corpus.texts.at(places))
        return Texts(backbone.tokenize(texts).ids, task.codes[places])

    def tell(history: History, done: int, total: int) -> None:
        writer.progress(done, total)
        if len(history.steps) + len(history.epochs) != told[-1]:
            told.append(len(history.steps) + len(history.epochs))
            writer.write_json(adapt.TUNING, history.record())

    told = [0]
    return train(
        focus,
        rows(task.train),
        rows(task.validation),
        settings.tune.model_copy(update=wish),
        by="accuracy" if settings.class_weight is None else "macro_f1",
        seed=settings.seed,
        folder=writer.folder / adapt.CHECKPOINTS,
        tell=tell,
        rate=lambda steps: paced(focus, steps, settings),
        choose=False,
    )


def paced(focus: Focus, steps: int, settings: TrainConfig) -> Rate:
    """The optimizer over `steps`, and its rates: up for a tenth, then down to zero."""
    optimizer = AdamW(focus.groups(settings.tune.learning_rate), weight_decay=0.01)
    warm = max(1, round(WARMUP * steps))

    def share(step: int) -> float:
        return min((step + 1) / warm, max(0.0, (steps - step) / max(1, steps - warm)))

    return Rate(optimizer, LambdaLR(optimizer, share))


def settled(
    focus: Focus,
    backbone: Backbone,
    sites: Sequence[Site],
    corpus: Corpus,
    task: Task,
    writer: RunWriter,
) -> tuple[Reader, Float[np.ndarray, "n n_class"]]:
    """The classifier in its last form, and its logits of every row.

    Its logits are those of training, divided by a temperature from validation.
    """
    focus.eval()
    weight, sd = focus.head.weight.detach(), focus.get_buffer("sd")
    weight, mean = weight / sd, focus.get_buffer("mean")
    attention = Attention.of(
        {name: t.detach() for name, t in focus.attention.state_dict().items()}
    )
    rows = task.train[:: max(1, len(task.train) // SOME)]
    center = average_parts(backbone, sites, attention, list(corpus.texts.at(rows)))
    moved = ((center.sum(0) - mean) * weight).sum(-1)
    line = Line(weight, focus.head.bias.detach() + moved, center)
    layers, classes = [site.layer for site in sites], task.classes

    def reader(by: Line) -> Reader:
        return Reader(backbone, attention, by, layers=layers, classes=classes)

    logits = every_logit(reader(line), corpus, writer)
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
    reader: Reader, corpus: Corpus, writer: RunWriter
) -> Float[np.ndarray, "n n_class"]:
    """Logits of all rows of the corpus."""
    return reader.decision_function(corpus.texts, progress=writer.progress)


def prediction_frames(
    reader: Reader, corpus: Corpus, logits: Float[np.ndarray, "n n_class"]
) -> Iterator[pd.DataFrame]:
    """What every run says of its rows."""
    names = tuple(str(name) for name in reader.classes_)
    for start in range(0, len(logits), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(logits)))
        some = corpus.take(rows)
        yield prediction_table(some, names, softmax(logits[rows])).assign(row=rows)


def facts(
    reader: Reader, history: History, settings: TrainConfig, before: dict[str, Any]
) -> dict[str, Any]:
    """What the classifier is made of, what it reads and what it costs."""
    backbone, top = reader.backbone_, max(reader.layers_)
    n_read = len(reader.layers_) * backbone.widths[reader.sites[-1]]
    seconds = {**before["seconds"], "tune": history.seconds}
    seconds["total"] = before["seconds"]["total"] + history.seconds
    shares = reader.attention_.layer_shares().tolist()
    return {
        "recipe": "attention",
        "attention": {
            "layers": list(reader.layers_),
            "layer_shares": shares,
            "per_class": settings.attention.per_class,
            "parts": list(PARTS),
        },
        "neurons": {**before["neurons"], "selected": n_read, "unique": n_read},
        "layers": {**before["layers"], "used": top},
        "chosen": {"epochs": history.epochs[-1].epoch},
        "cost": {
            **before["cost"],
            "parameters": backbone.parameters(top),
            "flops_per_token": backbone.flops_per_token(top),
        },
        "seconds": seconds,
    }


class _Row(NamedTuple):
    name: str
    scores: dict[str, Any]
    trainable: int
    seconds: float
    peak_bytes: int | None
    flops: int


def comparison(
    before: dict[str, Any], after: dict[str, Any], focus: Focus, history: History
) -> list[dict[str, Any]]:
    """Rows of the result table: attention, poolings of all layers alike, stc, last.

    Seconds are of what each needs; one that only reads the frozen backbone needs its
    extraction.
    """
    n_class, width = len(after["classes"]), len(focus.head.weight[0])
    seconds, whole = before["seconds"], before["cost"]["flops_per_token_total"]
    read = seconds.get("extract", 0.0)
    sparse = read + sum(seconds.get(k, 0.0) for k in ("probe", "select", "head"))
    here, n_sparse = after["cost"]["flops_per_token"], before["neurons"]["selected"]
    one = n_class * (width // 3 + 1)
    found = after["baselines"]
    learned, peak = focus.n_trainable(), history.peak_bytes
    rows = [_Row("attention", after["test"], learned, history.seconds, peak, here)]
    rows += [_Row(name, found[name], one, read, None, here) for name in ALIKE]
    flops = before["cost"]["flops_per_token"]
    trained = n_class * (n_sparse + 1)
    rows.append(_Row("stc", found["stc"], trained, sparse, None, flops))
    if "last_layer" in found:
        rows.append(_Row("last_layer", found["last_layer"], one, read, None, whole))
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
