"""The ridge head: least squares of the classes on chosen neurons, calibrated."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.data.task import Task
from stc_core.heads.head import SparseHead, mean_and_sd, value_range
from stc_core.heads.least_squares import RIDGES, SHARPNESS, Gram, gram, ridge_weights
from stc_core.metrics.scores import SAME_SCORE, fit_temperature
from stc_core.types import Feature

LEAST_SPREAD = 0.1
"""Columns whose sd is below this share of the median sd are trusted less."""


class Moments(NamedTuple):
    """The Gram matrix of some rows, their mean and the shares of the classes."""

    gram: Gram
    center: Float[np.ndarray, " d"]
    prior: Float[np.ndarray, " n_class"]


def moments(
    Z: Float[np.ndarray, "some d"], task: Task, rows: Int[np.ndarray, " some"]
) -> Moments:
    """What a ridge model needs to know of `rows`, whose features Z are overwritten.

    They are centred and weighted in place: a copy would be just as large.
    """
    codes, weights, n_class = task.codes[rows], task.weights(rows), len(task.classes)
    prior = np.bincount(codes, weights, n_class) / weights.sum()
    center = weights @ Z / weights.sum()
    return Moments(
        gram(Z, codes, n_class=n_class, sample_weight=weights, overwrite=True),
        center.astype(np.float32),
        prior.astype(np.float32),
    )


def fit_ridge_head(
    X: Float[np.ndarray, "n d"],
    task: Task,
    features: Sequence[Feature],
    *,
    rows: Int[np.ndarray, " some"],
    ridge: float,
    trust: Float[np.ndarray, " d"] | None = None,
) -> SparseHead:
    """A head fitted on `rows`: SHARPNESS times the least-squares class scores.

    `trust` has a number for each feature, between 0 and 1. The ridge penalty on the
    weight of a feature is divided by the square of its trust, so a feature with little
    trust gets a small weight. Without `trust` all features have the same penalty. The
    head's range is that of these rows.
    """
    # Indexing copies, so Z may change in place.
    Z = X[rows].astype(np.float32, copy=False)
    mean, sd = mean_and_sd(Z, task.weights(rows))
    low, high = value_range(Z)
    trusted = np.ones(X.shape[1], np.float32) if trust is None else trust
    Z -= mean
    Z /= sd
    Z *= trusted
    codes, row_weight, n_class = task.codes[rows], task.weights(rows), len(task.classes)
    prior = np.bincount(codes, row_weight, n_class) / row_weight.sum()
    center = row_weight @ Z / row_weight.sum()
    W = SHARPNESS * ridge_weights(
        Z, codes, n_class=n_class, sample_weight=row_weight, ridge=ridge
    )
    bias = (SHARPNESS * prior - center @ W).astype(np.float32)
    weight = W.T * trusted
    return SparseHead(
        tuple(features), mean, sd, weight, bias, task.classes, low=low, high=high
    )


def fit_best_ridge_head(
    X: Float[np.ndarray, "n d"], task: Task, features: Sequence[Feature]
) -> SparseHead:
    """The head fitted on train under the ridge with the best validation score.

    Its temperature is fitted on validation. On a tie the larger ridge wins. Columns
    with an sd far below the median are trusted less; in the head they get a larger sd
    and a larger weight, which leaves the logits as they are.
    """
    judged = task.validation
    sd = mean_and_sd(X[task.train])[1]
    least = LEAST_SPREAD * np.median(sd)
    trust = np.minimum(1, sd / least).astype(np.float32)
    best: tuple[float, SparseHead] | None = None
    for ridge in sorted(RIDGES, reverse=True):
        head = fit_ridge_head(
            X, task, features, rows=task.train, ridge=ridge, trust=trust
        )
        ridge_score = task.score(judged, head.logits(X[judged]))
        if best is None or ridge_score > best[0] + SAME_SCORE:
            best = ridge_score, head
    assert best is not None
    head = best[1]
    head = head.cooled(fit_temperature(head.logits(X[judged]), task.codes[judged]))
    # After tuning a column that hardly varied may vary: in its old sd it would be huge.
    wide_sd = np.maximum(head.sd, least).astype(np.float32)
    return head._replace(sd=wide_sd, weight=head.weight * (wide_sd / head.sd))
