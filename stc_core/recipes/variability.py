"""The recipe `variability` after its frozen half: tune up to l*, and compare.

Source: arXiv 2210.10041. The head begins as a linear probe of the frozen layer
(arXiv 2202.10054).
"""

from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Int

from stc_core.activations.features import dense_features
from stc_core.activations.groups import extract_groups
from stc_core.activations.row_file import RowFile
from stc_core.backbone.backbone import Backbone
from stc_core.config import TrainConfig
from stc_core.data.corpus import Corpus
from stc_core.data.task import Task, some_rows
from stc_core.heads.head import SparseHead, rescale_head
from stc_core.heads.ridge import fit_best_ridge_head
from stc_core.metrics.scores import fit_temperature
from stc_core.recipes.planning.forecast import Survey
from stc_core.recipes.planning.tuning_time import tuning_seconds
from stc_core.recipes.registry import RecipeCode
from stc_core.recipes.sparse import stop_if_interrupted, train_sparse
from stc_core.recipes.tuned import Tuned, layer_nu, tune_and_compare
from stc_core.runs.writer import RunWriter
from stc_core.selection.stc import Fitted
from stc_core.selection.streaming import logits_at, ranged_over
from stc_core.tuning.blocks import (
    changes_for,
    check_tuning,
    checkpoint_blocks,
    cut_and_adapt,
    plan_tuning,
)
from stc_core.tuning.readout import Readout
from stc_core.tuning.session import (
    TuningSession,
    keep_tuned,
    load_untuned,
)
from stc_core.types import PooledSite


def tune_blocks(
    corpus: Corpus, task: Task, settings: TrainConfig, writer: RunWriter
) -> Tuned:
    """Tune the backbone for the corpus and save it in the run's folder `backbone`.

    A run that was killed goes on from its checkpoints. `tuning.json` shows how the
    training goes.
    """
    base = load_untuned(settings)
    nu = layer_nu(writer.folder, base, corpus, task)
    plan = plan_tuning(base, nu, settings.tune)
    blocks = f"blocks {plan.tuned[0]} to {plan.tuned[-1]}"
    writer.phase("tune", message=f"{blocks}, head on layer {plan.layer}")
    head, frozen = _first_head(base, corpus, task, plan.layer, settings.store_dtype)
    what = changes_for(base, plan, settings.tune)
    flops = base.flops_per_token(plan.layer)
    tunable = cut_and_adapt(base, plan, what, seed=settings.seed)
    if settings.tune.checkpointing:
        checkpoint_blocks(tunable.backbone)
    readout = Readout(
        tunable.backbone,
        head,
        tunable.parts,
        tunable.blocks,
        class_weight=task.class_weights(task.train),
    )
    session = TuningSession(corpus, task, settings, writer)
    history = session.train(readout, tunable.backbone)
    kept = keep_tuned(
        writer.folder,
        what,
        readout.tuned_tensors(),
        backbone=tunable.backbone,
        dtype=settings.dtype,
    )
    trained, n_trainable = readout.linear_head(), readout.n_trainable()
    del base, tunable, readout
    return Tuned(
        kept.open(), trained, nu, plan, what, history, n_trainable, frozen, flops
    )


def _first_head(
    backbone: Backbone,
    corpus: Corpus,
    task: Task,
    layer: int,
    store_dtype: str,
) -> tuple[SparseHead, Int[np.ndarray, " n_test"]]:
    """A calibrated ridge head on the frozen layer, and its test classes.

    It is fitted on training rows alone. Validation rows choose its ridge and
    temperature, and later when tuning stops.
    """
    features = dense_features(backbone, layer)
    site = PooledSite(features[0].site, "mean")
    store = extract_groups(
        backbone, corpus.texts, task.groups, wanted=[site], store_dtype=store_dtype
    )
    rows = some_rows(task.train)
    X = np.concatenate([store.read(site, rows), store.read(site, task.validation)])
    part = Task(
        np.concatenate([task.codes[rows], task.codes[task.validation]]),
        task.classes,
        np.arange(len(rows)),
        np.arange(len(rows), len(X)),
        task.goal,
    )
    head = fit_best_ridge_head(X, part, features)
    guess = head.logits(store.read(site, corpus.rows("test"))).argmax(axis=1)
    return head, guess


def finalise_tuned(tuned: Tuned, activations: RowFile, task: Task) -> Fitted:
    """The final head, from the tuned activations of every row.


    Its logits are those of training divided by a temperature from validation rows; its
    weights are for one standard deviation of the tuned neurons.
    """
    values = np.load(activations.path, mmap_mode="r")
    head = rescale_head(
        tuned.head, np.asarray(values[some_rows(task.train)], np.float32)
    )
    head = ranged_over(head, activations, task.train)
    logits = logits_at(activations, head, task.validation)
    temperature = fit_temperature(logits, task.codes[task.validation])
    chosen: dict[str, float | int | str] = {
        "layer": tuned.plan.layer,
        "blocks": f"{tuned.plan.tuned[0]}-{tuned.plan.tuned[-1]}",
        "epochs": tuned.history.epochs[-1].epoch,
        "temperature": temperature,
    }
    held = task.validation
    return Fitted(head.cooled(temperature), (), chosen, held, logits / temperature)


def check_blocks(settings: TrainConfig, backbone: Backbone) -> None:
    """Raise StcError if the blocks of this backbone cannot be tuned as asked."""
    check_tuning(backbone, settings.tune)


def block_seconds(
    backbone: Backbone, surveyed: Survey, settings: TrainConfig, **rows: Any
) -> float | None:
    """The seconds of the tuning: see `tuning_seconds`."""
    return tuning_seconds(backbone, surveyed, settings.tune, **rows)


TUNING_STEP = partial(tune_and_compare, tune=tune_blocks, finalise=finalise_tuned)
"""The last step: replace the sparse classifier by a tuned one."""
CODE = RecipeCode(
    (train_sparse, stop_if_interrupted, TUNING_STEP),
    check=check_blocks,
    tuning_seconds=block_seconds,
)
