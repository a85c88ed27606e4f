"""The recipe `contrastive` after its frozen half: tune on pairs of texts, then a head.

Source: SetFit (arXiv 2209.11055), for few labelled texts. The pairs are of training
rows, so that the validation rows can judge. The head is fitted after the tuning, on the
last layer of all learned rows.
"""

from functools import partial
from math import ceil
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.activations.features import dense_features
from stc_core.activations.groups import extract_groups
from stc_core.activations.row_file import RowFile
from stc_core.backbone.backbone import Backbone
from stc_core.config import TrainConfig
from stc_core.data.corpus import Corpus
from stc_core.data.task import Task
from stc_core.heads.head import SparseHead
from stc_core.heads.kernel_ridge import Block, joint_leave_one_out
from stc_core.heads.least_squares import RIDGES, SHARPNESS
from stc_core.heads.ridge import fit_best_ridge_head, fit_ridge_head
from stc_core.metrics.scores import fit_temperature
from stc_core.recipe_settings import TuneConfig
from stc_core.recipes.planning.forecast import Survey
from stc_core.recipes.planning.tuning_time import tuning_seconds
from stc_core.recipes.registry import RecipeCode
from stc_core.recipes.sparse import stop_if_interrupted, train_sparse
from stc_core.recipes.tuned import Tuned, layer_nu, tune_and_compare
from stc_core.runs.writer import RunWriter
from stc_core.selection.folds import MOST_LEFT_OUT
from stc_core.selection.stc import Fitted
from stc_core.tuning.blocks import (
    changes_for,
    check_tuning,
    checkpoint_blocks,
    cut_and_adapt,
    plan_tuning,
)
from stc_core.tuning.contrastive import PairReadout, balanced_batches
from stc_core.tuning.session import TuningSession, keep_tuned, load_untuned
from stc_core.types import Feature, PooledSite

LEAST_BATCHES = 20
"""The batches of an epoch, if the training rows do not fill more."""


def tune_on_pairs(
    corpus: Corpus, task: Task, settings: TrainConfig, writer: RunWriter
) -> Tuned:
    """Tune the backbone on pairs of training rows; save it in the run's `backbone`.

    A run that was killed goes on from its checkpoints. `tuning.json` shows how the
    training goes; its scores are those of a head on the training rows.
    """
    base, tune = load_untuned(settings), tune_settings(settings)
    nu = layer_nu(writer.folder, base, corpus, task)
    plan = plan_tuning(base, nu, tune)
    blocks = f"blocks {plan.tuned[0]} to {plan.tuned[-1]}"
    writer.phase("tune", message=f"{blocks}, on pairs of texts")
    first, frozen = _frozen(base, corpus, task, plan.layer, settings.store_dtype)
    what, flops = changes_for(base, plan, tune), base.flops_per_token(plan.layer)
    tunable = cut_and_adapt(base, plan, what, seed=settings.seed)
    if tune.checkpointing:
        checkpoint_blocks(tunable.backbone)
    readout = PairReadout(tunable.backbone, first.head, tunable.parts, tunable.blocks)
    session = TuningSession(corpus, task, settings, writer)
    batches = balanced_batches(
        task.codes[task.train],
        batch=tune.batch,
        batches=batches_of(len(task.train), tune.batch),
        seed=settings.seed,
    )
    history = session.train(
        readout,
        tunable.backbone,
        tune=tune.changed(batch=batches.shape[1]),
        order=batches.ravel(),
        before_judging=partial(_give_head, readout, session, tunable.backbone),
        choose=False,
    )
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


def tune_settings(settings: TrainConfig) -> TuneConfig:
    """The settings of the tuning, with the epochs and the batch of this recipe."""
    own, tune = settings.contrastive, settings.tune
    where = tune.where if tune.where == "top" else "all"
    return tune.changed(where=where, layer=None, epochs=own.epochs, batch=own.batch)


def batches_of(n: int, batch: int) -> int:
    """The batches of an epoch for `n` training rows."""
    return max(LEAST_BATCHES, ceil(n / batch))


class LeftOutHead(NamedTuple):
    """A head on all learned rows, and the logits that validation rows get without
    theirs."""

    head: SparseHead
    held_logits: Float[np.ndarray, "n_val n_class"]
    ridge: float | None


def fit_left_out_head(
    X: Float[np.ndarray, "n d"], task: Task, features: tuple[Feature, ...]
) -> LeftOutHead:
    """A calibrated ridge head whose penalty leave-one-out chooses on the learned rows.

    With more than MOST_LEFT_OUT of them it is fitted on train, and validation chooses.
    """
    held = task.codes[task.validation]
    if len(task.learned) > MOST_LEFT_OUT:
        head = fit_best_ridge_head(X, task, features)
        return LeftOutHead(head, head.logits(X[task.validation]), None)
    ridge, scores = _chosen_ridge(X, task, task.learned)
    head = fit_ridge_head(X, task, features, rows=task.learned, ridge=ridge)
    logits = SHARPNESS * scores[len(task.train) :]
    temperature = fit_temperature(logits, held)
    return LeftOutHead(head.cooled(temperature), logits / temperature, ridge)


def _chosen_ridge(
    X: Float[np.ndarray, "n d"], task: Task, rows: Int[np.ndarray, " some"]
) -> tuple[float, Float[np.ndarray, "some n_class"]]:
    """The ridge with the least squared error of leave-one-out, and its scores of
    `rows`.

    After the tuning nearly every row is right by any ridge, so the score of the goal
    would choose by chance.
    """
    block, labels = Block(lambda: X, X.shape[1]), np.eye(len(task.classes))
    tried = joint_leave_one_out([block], task, rows, ridges=RIDGES)
    errors = ((tried - labels[task.codes[rows]]) ** 2).sum(axis=2)
    best = int(np.argmin(errors @ task.weights(rows)))
    return RIDGES[best], tried[best]


def _frozen(
    backbone: Backbone, corpus: Corpus, task: Task, layer: int, store_dtype: str
) -> tuple[LeftOutHead, Int[np.ndarray, " n_test"]]:
    """The head on the layer before any tuning, and its test classes."""
    features = dense_features(backbone, layer)
    site = PooledSite(features[0].site, "mean")
    store = extract_groups(
        backbone, corpus.texts, task.groups, wanted=[site], store_dtype=store_dtype
    )
    found = fit_left_out_head(store.read(site), task, features)
    guess = found.head.logits(store.read(site, corpus.rows("test"))).argmax(axis=1)
    return found, guess


def _give_head(
    readout: PairReadout, session: TuningSession, backbone: Backbone
) -> None:
    """Let the readout answer by a head on the training rows as they are read now."""
    task = session.task
    places = np.linspace(0, len(task.train) - 1, min(len(task.train), MOST_LEFT_OUT))
    rows = task.train[places.astype(int)]
    X = readout.means_of(session.rows(backbone, rows).ids)
    part = Task(
        task.codes[rows], task.classes, np.arange(len(rows)), rows[:0], task.goal
    )
    ridge, _ = _chosen_ridge(X, part, part.train)
    features = readout.linear_head().features
    readout.give_head(fit_ridge_head(X, part, features, rows=part.train, ridge=ridge))


def finalise_pairs(tuned: Tuned, activations: RowFile, task: Task) -> Fitted:
    """The final head, on the tuned states of all learned rows."""
    X = np.asarray(np.load(activations.path, mmap_mode="r"), np.float32)
    found = fit_left_out_head(X, task, tuned.head.features)
    chosen: dict[str, float | int | str] = {
        "layer": tuned.plan.layer,
        "blocks": f"{tuned.plan.tuned[0]}-{tuned.plan.tuned[-1]}",
        "epochs": tuned.history.epochs[-1].epoch,
    }
    if found.ridge is not None:
        chosen["ridge"] = found.ridge
    return Fitted(found.head, (), chosen, task.validation, found.held_logits)


def check_pairs(settings: TrainConfig, backbone: Backbone) -> None:
    """Raise StcError if the blocks of this backbone cannot be tuned as asked."""
    check_tuning(backbone, tune_settings(settings))


def pair_seconds(
    backbone: Backbone,
    surveyed: Survey,
    settings: TrainConfig,
    *,
    n: int,
    learned: tuple[int, int],
) -> float | None:
    """The seconds of tuning on pairs: see `tuning_seconds`."""
    tune, (n_train, n_learned) = tune_settings(settings), learned
    size = min(tune.batch, n_train)
    seen = size * batches_of(n_train, tune.batch)
    return tuning_seconds(
        backbone,
        surveyed,
        tune.changed(batch=size),
        n=n,
        learned=(seen, seen + n_learned - n_train),
    )


CODE = RecipeCode(
    (
        train_sparse,
        stop_if_interrupted,
        partial(tune_and_compare, tune=tune_on_pairs, finalise=finalise_pairs),
    ),
    check=check_pairs,
    tuning_seconds=pair_seconds,
)
