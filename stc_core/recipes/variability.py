"""The recipe `variability` after its frozen half: tune up to l*, and compare.

Source: arXiv 2210.10041. The head begins as a linear probe of the frozen layer
(arXiv 2202.10054) and reads the mean of all tokens, so that the classifier has the
form of every other: a linear head on neurons of a backbone.
"""

import resource
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int

from stc_core.activations.extract import extract
from stc_core.activations.features import dense_features
from stc_core.activations.row_file import Rows, write_rows
from stc_core.backbone import changes
from stc_core.backbone.backbone import Backbone
from stc_core.config import RunConfig, TrainConfig
from stc_core.data.corpus import Corpus
from stc_core.data.task import Task, some_rows
from stc_core.files import read_json
from stc_core.heads.head import SparseHead, rescaled
from stc_core.heads.ridge import best_ridge
from stc_core.metrics.scores import fit_temperature
from stc_core.probes.variability import measure
from stc_core.recipes.results import estimator, evaluate, task_of, write_fitted
from stc_core.runs.layout import NU, SPARSE
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter
from stc_core.selection.baselines import Guess, score_baseline
from stc_core.selection.stc import Fitted
from stc_core.selection.streaming import activation_blocks, logits_at
from stc_core.tuning.blocks import (
    TunePlan,
    changes_for,
    checkpoint_blocks,
    cut_and_adapt,
    plan_tuning,
)
from stc_core.tuning.readout import Readout
from stc_core.tuning.session import (
    CHECKPOINTS,
    TUNING,
    TuningSession,
    class_weights_of,
    keep_tuned,
    load_untuned,
)
from stc_core.tuning.trainer import History
from stc_core.types import PooledSite


class Tuned(NamedTuple):
    """A tuned backbone, its head as training left it, and what it is held against.

    `frozen` are the test classes by the same head before tuning, `frozen_flops` its
    cost for a token.
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


def tune(corpus: Corpus, task: Task, settings: TrainConfig, writer: RunWriter) -> Tuned:
    """The backbone tuned for the corpus, saved in the run's folder `backbone`.

    Checkpoints are in its folder `checkpoints` until the run is done: a run that was
    killed goes on from there. `tuning.json` says how the training goes.
    """
    base = load_untuned(settings)
    nu = layer_nu(writer.folder, base, corpus, task)
    plan = plan_tuning(base, nu, settings.tune)
    blocks = f"blocks {plan.tuned[0]} to {plan.tuned[-1]}"
    writer.phase("tune", message=f"{blocks}, head on layer {plan.layer}")
    head, frozen = _first_head(base, corpus, task, plan.layer, settings.store_dtype)
    what = changes_for(base, plan, settings.tune)
    flops = base.flops_per_token(plan.layer)
    graft = cut_and_adapt(base, plan, what, seed=settings.seed)
    if settings.tune.checkpointing:
        checkpoint_blocks(graft.backbone)
    readout = Readout(
        graft.backbone,
        head,
        graft.parts,
        graft.blocks,
        class_weight=class_weights_of(task),
    )
    history = TuningSession(corpus, task, settings, writer).train(
        readout, graft.backbone
    )
    kept = keep_tuned(
        writer.folder,
        what,
        readout.tuned_tensors(),
        backbone=graft.backbone,
        dtype=settings.dtype,
    )
    trained, n_trainable = readout.linear_head(), readout.n_trainable()
    del base, graft, readout
    return Tuned(
        kept.open(), trained, nu, plan, what, history, n_trainable, frozen, flops
    )


def layer_nu(
    folder: Path, backbone: Backbone, corpus: Corpus, task: Task
) -> Sequence[float]:
    """nu of the layers: what the run's variability.json says, or measured now."""
    path = folder / NU
    if path.is_file():
        told = read_json(path)["nu"]
        return [float("inf") if nu is None else nu for nu in told]
    texts = corpus.texts.at(task.train)
    return measure(backbone, texts, task.codes[task.train]).nu


def _first_head(
    backbone: Backbone,
    corpus: Corpus,
    task: Task,
    layer: int,
    store_dtype: str,
) -> tuple[SparseHead, Int[np.ndarray, " n_test"]]:
    """A calibrated ridge head on the frozen layer, and the test classes by it.

    Fitted on training rows alone; its ridge and temperature are those that do best on
    validation, which afterwards decides when to stop.
    """
    features = dense_features(backbone, layer)
    site = PooledSite(features[0].site, "mean")
    store = extract(backbone, corpus.texts, [site], store_dtype=store_dtype)
    rows = some_rows(task.train)
    X = np.concatenate([store.read(site, rows), store.read(site, task.validation)])
    part = Task(
        np.concatenate([task.codes[rows], task.codes[task.validation]]),
        task.classes,
        np.arange(len(rows)),
        np.arange(len(rows), len(X)),
        task.class_weight,
    )
    head = best_ridge(X, part, features)
    guess = head.logits(store.read(site, corpus.rows("test"))).argmax(axis=1)
    return head, guess


def finalise_tuned(tuned: Tuned, activations: Rows, task: Task) -> Fitted:
    """The head in its last form, from the tuned activations of every row.

    Its logits are those of training, divided by a temperature from validation; its
    weights are per standard deviation of the tuned neurons.
    """
    values = np.load(activations.path, mmap_mode="r")
    head = rescaled(tuned.head, np.asarray(values[some_rows(task.train)], np.float32))
    logits = logits_at(activations, head, task.validation)
    temperature = fit_temperature(logits, task.codes[task.validation])
    chosen: dict[str, float | int | str] = {
        "layer": tuned.plan.layer,
        "blocks": f"{tuned.plan.tuned[0]}-{tuned.plan.tuned[-1]}",
        "epochs": tuned.history.epochs[-1].epoch,
        "temperature": temperature,
    }
    return Fitted(head.cooled(temperature), (), chosen, logits / temperature)


def tuned_metrics(
    before: dict[str, Any], after: dict[str, Any], tuned: Tuned, fitted: Fitted
) -> dict[str, Any]:
    """The metrics of the tuned run, from those of its frozen half and its own scores.

    Layers and names are those of the base; cost is that of the tuned backbone.
    """
    backbone, history = tuned.backbone, tuned.history
    width = len(tuned.head.features)
    cost = {
        "parameters": backbone.parameters(tuned.plan.layer),
        "flops_per_token": backbone.flops_per_token(tuned.plan.layer),
    }
    seconds = {**before["seconds"], "tune": history.seconds}
    seconds["total"] = before["seconds"]["total"] + history.seconds
    return {
        **before,
        **after,
        "recipe": "variability",
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
        "cost": {**before["cost"], **cost},
        "seconds": seconds,
        "backbone": {**before["backbone"], "tuned": backbone.identity},
    }


def peak_bytes() -> int:
    """The most memory that this process has had: on the GPU if it uses one."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def _comparison(
    before: dict[str, Any], after: dict[str, Any], tuned: Tuned, peak_bytes: int | None
) -> list[dict[str, Any]]:
    """Rows of the result table: tuned, frozen, stc, last layer.

    `before` are the metrics of the frozen half, `after` those of the tuned run with
    the baselines `frozen` and `stc` among its own. Seconds are of what each needs;
    one that only reads the frozen backbone needs its extraction.
    """
    n_class, width = len(after["classes"]), len(tuned.head.features)
    seconds, cost = before["seconds"], before["cost"]
    read = seconds.get("extract", 0.0)
    sparse = read + sum(seconds.get(k, 0.0) for k in ("probe", "select", "head"))
    n_sparse = before["neurons"]["selected"]
    here = after["cost"]["flops_per_token"]
    dense = n_class * (width + 1)
    rows = [
        ("tuned", after["test"], tuned.n_trainable, tuned.history.seconds, here),
        ("frozen", None, dense, read, tuned.frozen_flops),
        ("stc", None, n_class * (n_sparse + 1), sparse, cost["flops_per_token"]),
        ("last_layer", None, dense, read, cost["flops_per_token_total"]),
    ]
    table = []
    for name, found, trainable, taken, flops in rows:
        scores = found or after["baselines"].get(name)
        if scores is None:
            continue
        table.append(
            {
                "name": name,
                "accuracy": scores["accuracy"],
                "accuracy_interval": scores["accuracy_interval"],
                "macro_f1": scores["macro_f1"],
                "trainable": trainable,
                "seconds": taken,
                "peak_bytes": tuned.history.peak_bytes
                if name == "tuned"
                else peak_bytes,
                "flops_per_token": flops,
                "flops_share": flops / max(cost["flops_per_token_total"], 1),
            }
        )
    return table


def train_tuned(config: RunConfig, writer: RunWriter) -> None:
    """The recipe `variability`: a tuned classifier in the place of the sparse one."""
    settings, run = config.train, Run(writer.folder)
    before, report = run.metrics, run.report
    corpus = Corpus(run.corpus, report.columns, report)
    task, n = task_of(corpus, settings), len(corpus.frame)
    peak = None if run.has(TUNING) else peak_bytes()
    tuned = tune(corpus, task, settings, writer)
    writer.phase("report", message="the tuned classifier")
    blocks = activation_blocks(
        tuned.backbone,
        corpus.texts,
        tuned.head.features,
        read=lambda site, rows: np.empty((0, 0), np.float32),
        known=np.full(n, -1),
        progress=writer.progress,
    )
    path, width = writer.folder / "activations.npy", len(tuned.head.features)
    activations = write_rows(path, blocks, n=n, width=width)
    fitted = finalise_tuned(tuned, activations, task)
    classifier = estimator(settings)
    classifier.adopt(tuned.backbone, np.array(task.classes), [], fitted)
    write_fitted(writer, classifier, corpus, activations)
    logits = logits_at(activations, fitted.head, corpus.rows("test"))
    after = evaluate(corpus, task, fitted, logits, settings.seed)
    after = tuned_metrics(before, after, tuned, fitted)
    y = task.codes[corpus.rows("test")]
    frozen = score_baseline(y, Guess(tuned.frozen, ""), seed=settings.seed)
    new = {"stc": before["test"], "frozen": frozen}
    after["baselines"] = {**new, **before["baselines"]}
    after["comparison"] = _comparison(before, after, tuned, peak)
    writer.write_json("metrics.json", after)
    for name in SPARSE:
        (writer.folder / name).unlink(missing_ok=True)
    shutil.rmtree(writer.folder / CHECKPOINTS)
