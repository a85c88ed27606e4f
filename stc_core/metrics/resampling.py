"""Scores of several classifiers in bootstraps of the rows that all of them predict."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Integer
from scipy.sparse import csr_array

from stc_core.metrics.scores import Metric

RESAMPLES = 500
_FEWEST = 100
_MOST_CELLS = 400_000_000
"""Resamples x rows x classifiers of macro-F1, which takes longer than accuracy."""


class Resamples(NamedTuple):
    """Scores on all rows, on the rows of each resample, and on the rows left out.

    The resamples are the same for all classifiers, so that their scores move together.
    """

    scores: Float[np.ndarray, " p"]
    inside: Float[np.ndarray, "b p"]
    outside: Float[np.ndarray, "b p"]

    def only(self, kept: Bool[np.ndarray, " p"]) -> "Resamples":
        """Those of the classifiers where `kept` is true."""
        return Resamples(self.scores[kept], self.inside[:, kept], self.outside[:, kept])


def resample_scores(
    y: Integer[np.ndarray, " n"],
    predicted: Integer[np.ndarray, "p n"],
    metric: Metric = "accuracy",
    *,
    n_resamples: int | None = None,
    seed: int = 0,
) -> Resamples:
    """The scores of p classifiers in bootstraps of the n rows.

    A resample has as many rows, drawn with replacement; about a third are left out.
    """
    n_classifiers, n = predicted.shape
    few = min(max(_MOST_CELLS // (n * n_classifiers), _FEWEST), RESAMPLES)
    b = n_resamples or (RESAMPLES if metric == "accuracy" else few)
    counts = _draws(n, b, seed)
    weights = np.vstack([np.ones((1, n)), counts, counts == 0]).astype(np.float32)
    if metric == "accuracy":
        right = (predicted == y).astype(np.float32)
        hits = (weights @ right.T).astype(np.float64)  # whole numbers, so exact
        scores = hits / np.maximum(weights.sum(axis=1, keepdims=True), 1)
    else:
        scores = _macro_f1s(y, predicted, weights)
    return Resamples(scores[0], scores[1 : 1 + b], scores[1 + b :])


def _draws(n: int, n_resamples: int, seed: int) -> Int[np.ndarray, "b n"]:
    """How often each resample has each row; at least one row of two is left out."""
    rows = np.random.default_rng(seed).integers(n, size=(n_resamples, n))
    flat = rows + n * np.arange(n_resamples)[:, None]
    counts = np.bincount(flat.ravel(), minlength=n * n_resamples)
    counts = counts.reshape(n_resamples, n)
    whole = (counts > 0).all(axis=1)
    counts[whole] = np.eye(n, dtype=int)[0] * n
    return counts


def _macro_f1s(
    y: Integer[np.ndarray, " n"],
    predicted: Integer[np.ndarray, "p n"],
    weights: Float[np.ndarray, "b n"],
) -> Float[np.ndarray, "b p"]:
    """Macro-F1 of weighted rows, over the classes that occur."""
    n, n_class = len(y), int(max(y.max(), predicted.max())) + 1
    rows = np.arange(n)

    def summed(codes: np.ndarray, kept: np.ndarray) -> np.ndarray:
        members = csr_array(
            (kept.astype(np.float32), (codes, rows)), shape=(n_class, n)
        )
        return members @ weights.T  # (n_class, b)

    has = summed(y, np.ones(n))
    scores = np.empty((len(weights), len(predicted)))
    for at, guess in enumerate(predicted.astype(np.int64)):
        support = has + summed(guess, np.ones(n))
        f1 = 2 * summed(y, guess == y) / np.maximum(support, 1)
        occurring = np.maximum((support > 0).sum(axis=0), 1)  # 0 if no row is drawn
        scores[:, at] = f1.sum(axis=0) / occurring
    return scores
