"""Scores of predictions and of probabilities; labels are arrays of any one type."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.optimize import minimize_scalar
from scipy.special import ndtri

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
    _same_length("macro_f1", y, predicted)
    true, guess, n_class = _codes(y, predicted)
    cells = np.bincount(true * n_class + guess, minlength=n_class**2)
    return float(_macro_f1(cells.reshape(1, n_class, n_class))[0])


def metric_of(class_weight: str | None) -> ScoreFunction:
    """The score that decides choices: macro-F1 with class weights, else accuracy."""
    return accuracy if class_weight is None else macro_f1


def bootstrap_interval(
    y: Shaped[np.ndarray, " n"],
    predicted: Shaped[np.ndarray, " n"],
    metric: ScoreFunction = accuracy,
    *,
    seed: int,
    n: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of the metric over n resamples of the rows.

    `accuracy` and `macro_f1` depend only on the counts of (true, predicted) pairs.
    These counts are multinomial under resampling, so they are drawn directly, with the
    same distribution as resampled rows. Any other metric is called n times. If all
    predictions are right, or all wrong, every resample has the same score. The interval
    is then Wilson's for the share of right ones, (n / (n + z^2), 1) or (0, z^2 / (n +
    z^2)), for macro-F1 too. Source: Wilson 1927.
    """
    _same_length("bootstrap_interval", y, predicted)
    right_share = accuracy(y, predicted)
    if metric in (accuracy, macro_f1) and right_share in (0.0, 1.0):
        hits, rows = np.array([right_share * len(y)]), np.array([len(y)])
        ends = wilson_interval(hits, rows, level)
        return float(ends[0][0]), float(ends[1][0])
    rng = np.random.default_rng(seed)
    if metric is accuracy:
        scores = rng.binomial(len(y), right_share, n) / len(y)
    elif metric is macro_f1:
        scores = _resampled_macro_f1(y, predicted, rng, n)
    else:
        rows = (rng.integers(len(y), size=len(y)) for _ in range(n))
        scores = np.array([metric(y[row], predicted[row]) for row in rows])
    tail = (1 - level) / 2
    low, high = np.quantile(scores, [tail, 1 - tail])
    return float(low), float(high)


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


def accuracy_interval(right: float, n: int) -> tuple[float, float]:
    """The bootstrap interval of an accuracy; it depends only on its value and on n."""
    hits = np.arange(n) < round(float(right) * n)
    return bootstrap_interval(np.ones(n, int), hits.astype(int), seed=0)


def wilson_interval(
    hits: Shaped[np.ndarray, "*n"], n: Shaped[np.ndarray, "*n"], level: float = 0.95
) -> tuple[Float[np.ndarray, "*n"], Float[np.ndarray, "*n"]]:
    """Wilson's score interval of each share hits / n; from 0 to 1 where n is 0.

    It stays within 0 and 1, and has a width even for a share of 0 or 1, so it suits few
    rows. Source: Wilson 1927.
    """
    square = float(ndtri(0.5 + level / 2)) ** 2
    share = hits / np.maximum(n, 1)
    middle = (hits + square / 2) / (n + square)
    half_width = np.sqrt(n * share * (1 - share) * square + square**2 / 4) / (
        n + square
    )
    low, high = np.clip([middle - half_width, middle + half_width], 0.0, 1.0)
    return np.where(hits == 0, 0.0, low), np.where(hits == n, 1.0, high)


def _resampled_macro_f1(y, predicted, rng: np.random.Generator, n: int) -> np.ndarray:
    true, guess, n_class = _codes(y, predicted)
    pairs, counts = np.unique(true * n_class + guess, return_counts=True)
    drawn = rng.multinomial(len(y), counts / len(y), size=n)  # (n, pairs)
    on_true = np.equal.outer(pairs // n_class, np.arange(n_class)).astype(float)
    on_guess = np.equal.outer(pairs % n_class, np.arange(n_class)).astype(float)
    hits = drawn @ (on_true * on_guess)
    return _mean_f1(hits, drawn @ on_true + drawn @ on_guess)


def _macro_f1(cells: np.ndarray) -> np.ndarray:
    hits = np.diagonal(cells, axis1=1, axis2=2)
    return _mean_f1(hits, cells.sum(axis=1) + cells.sum(axis=2))


def _mean_f1(hits: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Mean of 2 * hits / (true + predicted) over the classes that occur."""
    f1 = 2 * hits / np.maximum(support, 1)
    return f1.sum(axis=1) / (support > 0).sum(axis=1)


def _codes(y: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Both as codes of the classes that occur in either, and the number of classes."""
    classes, codes = np.unique(np.concatenate([y, predicted]), return_inverse=True)
    return codes[: len(y)], codes[len(y) :], len(classes)


def _same_length(where: str, y: np.ndarray, other: np.ndarray) -> None:
    if len(y) != len(other) or len(y) == 0:
        raise StcError(
            where,
            expected="as many predictions as labels, at least one",
            got=f"{len(y)} labels and {len(other)} predictions",
        )


def metric_name_of(class_weight: object) -> Metric:
    """The name of the score that decides: macro_f1 with class weights, or accuracy."""
    return "accuracy" if class_weight is None else "macro_f1"


def first_best(scores: Float[np.ndarray, " b"]) -> int:
    """The position of the highest score; the first of equal ones, up to rounding."""
    return int(np.flatnonzero(scores >= scores.max() - SAME_SCORE)[0])


def last_best(scores: Float[np.ndarray, " b"]) -> int:
    """The position of the highest score; the last of equal ones, up to rounding."""
    return int(np.flatnonzero(scores >= scores.max() - SAME_SCORE)[-1])
