"""Scores of predictions and of probabilities; labels are arrays of any one type."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.optimize import minimize_scalar

from stc_core.errors import StcError

ScoreFunction = Callable[[Any, Any], float]
"""(labels, predictions) -> a score; higher is better."""
Metric = Literal["accuracy", "macro_f1"]
METRICS: dict[Metric, str] = {"accuracy": "accuracy", "macro_f1": "macro-F1"}
SAME_SCORE = 1e-9
"""Validation scores that differ by no more are equal: they are sums of the same shares.
"""


def accuracy(y: Shaped[np.ndarray, " n"], predicted: Shaped[np.ndarray, " m"]) -> float:
    """The share of correct predictions."""
    _same_length("accuracy", y, predicted)
    return float(np.mean(y == predicted))


def macro_f1(y: Shaped[np.ndarray, " n"], predicted: Shaped[np.ndarray, " m"]) -> float:
    """The mean F1 of the classes that occur in y or among the predictions.

    Equals scikit-learn's f1_score(average="macro", zero_division=0).
    """
    cells = pair_counts(y, predicted)
    hits, support = cells.diagonal(), cells.sum(axis=0) + cells.sum(axis=1)
    return float(np.mean(2 * hits / support))


def pair_counts(
    y: Shaped[np.ndarray, " n"], predicted: Shaped[np.ndarray, " m"]
) -> Int[np.ndarray, "n_class n_class"]:
    """How often each class of y has each prediction, for the classes that occur."""
    _same_length("macro_f1", y, predicted)
    both = np.concatenate([y, predicted])
    classes, codes = np.unique(both, return_inverse=True)
    n_class, cells = len(classes), codes[: len(y)] * len(classes) + codes[len(y) :]
    return np.bincount(cells, minlength=n_class**2).reshape(n_class, n_class)


def log_loss(
    y: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n n_class"]
) -> float:
    """Mean negative log-probability of the true class, in nats; y holds codes."""
    _same_length("log_loss", y, probabilities)
    true_probabilities = probabilities[np.arange(len(y)), y].astype(np.float64)
    return float(
        -np.log(np.maximum(true_probabilities, np.finfo(np.float64).tiny)).mean()
    )


def expected_calibration_error(
    y: Int[np.ndarray, " n"],
    probabilities: Float[np.ndarray, "n n_class"],
    *,
    n_bins: int = 15,
) -> float:
    """Mean |accuracy - confidence| over equal-width bins, weighted by their counts.

    y holds codes; confidence is the largest probability. Source: Guo et al. 2017.
    """
    _same_length("expected_calibration_error", y, probabilities)
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = (probabilities.argmax(axis=1) == y).astype(np.float64)
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    excess = np.bincount(bins, right - confidence, n_bins)
    return float(np.abs(excess).sum() / len(y))


def fit_temperature(
    logits: Float[np.ndarray, "n n_class"], y: Int[np.ndarray, " n"]
) -> float:
    """The T in [1/20, 20] for which softmax(logits / T) has the smallest log-loss.

    y holds codes. The loss is convex in 1 / T. Targets are smoothed, so that T does not
    reach its bound if a few rows are all right: for n rows the label of a row counts as
    right with probability (n + 1) / (n + 2), and the other classes share the rest
    equally. Sources: Guo et al. 2017; the targets are those of Platt 1999, section 2.2,
    with all rows counted together, since one T serves all classes.
    """
    _same_length("fit_temperature", y, logits)
    Z = logits.astype(np.float64)
    Z = Z - Z.max(axis=1, keepdims=True)
    n, n_class = Z.shape
    smoothing = 1 / (n + 2)
    true_logits = Z[np.arange(n), y]
    others = (Z.sum(axis=1) - true_logits) / max(1, n_class - 1)
    target = (
        1 - smoothing
    ) * true_logits + smoothing * others  # (n,): mean logit under the target

    def loss(log_t: float) -> float:
        scale = np.exp(-log_t)
        return float(np.mean(np.log(np.exp(Z * scale).sum(axis=1)) - target * scale))

    bound = float(np.log(20))
    minimum = minimize_scalar(
        loss, bounds=(-bound, bound), method="bounded", options={"xatol": 1e-6}
    )
    return float(np.exp(minimum.x))


def _same_length(where: str, y: np.ndarray, other: np.ndarray) -> None:
    if len(y) != len(other) or len(y) == 0:
        raise StcError(
            where,
            expected="as many predictions as labels, at least one",
            got=f"{len(y)} labels and {len(other)} predictions",
        )


def first_best(scores: Float[np.ndarray, " b"]) -> int:
    """The position of the highest score; the first of equal ones, up to rounding."""
    return int(np.flatnonzero(scores >= scores.max() - SAME_SCORE)[0])


def last_best(scores: Float[np.ndarray, " b"]) -> int:
    """The position of the highest score; the last of equal ones, up to rounding."""
    return int(np.flatnonzero(scores >= scores.max() - SAME_SCORE)[-1])
