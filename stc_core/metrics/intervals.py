"""Intervals of shares and of macro-F1 whose coverage `benches/bench_coverage.py`
simulates."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.special import betaincinv, expit, logit, ndtri

from stc_core.metrics.scores import pair_counts

LEVEL = 0.95
_PRIOR = 2.0
"""Rows that the mean share of right rows adds to each class, for variances only."""


class ScoreInterval(NamedTuple):
    """The ends of an interval, or None for both and the reason why there is none."""

    low: float | None
    high: float | None
    reason: str = ""

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Both ends; None if there is no interval."""
        if self.low is None or self.high is None:
            return None
        return self.low, self.high


def normal_quantile(level: float = LEVEL) -> float:
    """The half width of a two-sided interval of a normal variable, in sd."""
    return float(ndtri(0.5 + level / 2))


def wilson_interval(
    hits: Shaped[np.ndarray, "*n"], n: Shaped[np.ndarray, "*n"], level: float = LEVEL
) -> tuple[Float[np.ndarray, "*n"], Float[np.ndarray, "*n"]]:
    """Wilson's score interval of each share hits / n; from 0 to 1 where n is 0.

    It stays within 0 and 1, and has a width even for a share of 0 or 1, so it suits few
    rows. Source: Wilson 1927.
    """
    square = normal_quantile(level) ** 2
    share = hits / np.maximum(n, 1)
    middle = (hits + square / 2) / (n + square)
    half_width = np.sqrt(n * share * (1 - share) * square + square**2 / 4) / (
        n + square
    )
    low, high = np.clip([middle - half_width, middle + half_width], 0.0, 1.0)
    return np.where(hits == 0, 0.0, low), np.where(hits == n, 1.0, high)


def exact_interval(
    hits: Int[np.ndarray, "*n"], n: Int[np.ndarray, "*n"], level: float = LEVEL
) -> tuple[Float[np.ndarray, "*n"], Float[np.ndarray, "*n"]]:
    """The interval of each share hits / n that covers at least `level` for every share.

    It is wider than Wilson's, and suits levels near 1, where Wilson's covers too little
    for shares near 0 or 1. Source: Clopper & Pearson 1934.
    """
    tail = (1 - level) / 2
    low = betaincinv(np.maximum(hits, 1), n - hits + 1, tail)
    high = betaincinv(hits + 1, np.maximum(n - hits, 1), 1 - tail)
    return np.where(hits == 0, 0.0, low), np.where(hits == n, 1.0, high)


def accuracy_interval(
    right: float, n: int, level: float = LEVEL
) -> tuple[float, float]:
    """Wilson's interval of an accuracy on n rows."""
    low, high = wilson_interval(
        np.array([round(float(right) * n)]), np.array([n]), level
    )
    return float(low[0]), float(high[0])


def least_rows(n_class: int) -> int:
    """The rows that each class must have for an interval of macro-F1.

    Three; more for fewer than four classes, as each then weighs more. With fewer rows
    the simulated coverage of `macro_f1_bounds` falls below 93 %.
    """
    return max(3, math.ceil(10 / n_class))


def macro_f1_interval(
    y: Shaped[np.ndarray, " n"],
    predicted: Shaped[np.ndarray, " n"],
    *,
    n_class: int | None = None,
    level: float = LEVEL,
) -> ScoreInterval:
    """The interval of the macro-F1 that these predictions have in the population.

    The macro-F1 is the mean over a fixed set of `n_class` classes; None means those
    that occur in y or among the predictions. There is no interval if a class has fewer
    rows than `least_rows`. A class without any row is such a class: the score of the
    rows leaves it out, so they say nothing about it.
    """
    cells = pair_counts(y, predicted)
    n_class = max(len(cells), n_class or 0)
    least = least_rows(n_class)
    n_few = n_class - int(np.sum(cells.sum(axis=1) >= least))
    if n_few:
        have = "has" if n_few == 1 else "have"
        reason = f"{n_few:,} of {n_class:,} classes {have} fewer than {least} texts"
        return ScoreInterval(None, None, reason)
    low, high = macro_f1_bounds(cells[None], level)
    return ScoreInterval(float(low[0]), float(high[0]))


def macro_f1_bounds(
    cells: Int[np.ndarray, "tables n_class n_class"], level: float = LEVEL
) -> tuple[Float[np.ndarray, " tables"], Float[np.ndarray, " tables"]]:
    """The ends of the interval of macro-F1 for each table of (true, predicted) counts.

    F1 = 2 s / (1 + s) rises with s, the share of right rows among the rows that have
    the class or are predicted as it (Hand, Christen & Kirielle 2021). Given their
    number u, the right ones are binomial. An error is a row of two classes, which
    correlates their scores. From this come the bias of F1, F1'' s (1 - s) / 2u, which
    is taken off, and the variance of the mean by the delta method (as in Takahashi,
    Yamamoto, Kuchiba & Koyama 2022, sec. 3.3). Shares in both are shrunk towards the
    mean share, so that a class without errors has a variance, too. The interval is
    symmetric on the logit scale, but for one addition: the class that may be worst off
    moves the lower end as far down as Wilson's end of its share does (MOVER, Zou &
    Donner 2008), as a few right rows may hide errors. Without any error the lower end
    is the smaller of that of the accuracy and that of MOVER over all classes.
    """
    n, z = cells.sum(axis=(1, 2)), normal_quantile(level)
    hits = np.diagonal(cells, axis1=1, axis2=2).astype(float)
    union = cells.sum(axis=1) + cells.sum(axis=2) - hits
    share, rows = _shrunk_share(hits, union), np.maximum(union, 1)
    slope = 2 / (1 + share) ** 2 / hits.shape[1]  # of the mean F1
    noise = share * (1 - share) / rows
    errors = cells * (1 - np.eye(cells.shape[1]))
    moves = slope * share / rows
    both = 2 * np.einsum("ti,tij,tj->t", moves, errors, moves, optimize=True)
    alone = slope**2 * noise
    spread = z**2 * (alone.sum(axis=1) + both)
    distance = _distance_below(hits, union, level) / hits.shape[1]
    unseen = np.maximum(distance**2 - z**2 * alone, 0).max(axis=1)
    f1 = 2 * hits / np.maximum(union + hits, 1)
    score = (f1 + 2 * noise / (1 + share) ** 3).mean(axis=1)
    score = np.clip(score, 0.5 / n, 1 - 0.5 / n)
    on_logit = 1 / (score * (1 - score))
    low = expit(logit(score) - np.sqrt(spread + unseen) * on_logit)
    high = expit(logit(score) + np.sqrt(spread) * on_logit)
    perfect_low = np.minimum(n / (n + z**2), 1 - np.sqrt((distance**2).sum(axis=1)))
    is_perfect = hits.sum(axis=1) == n
    return np.where(is_perfect, perfect_low, low), np.where(is_perfect, 1.0, high)


def _distance_below(
    hits: Float[np.ndarray, "tables n_class"],
    union: Float[np.ndarray, "tables n_class"],
    level: float,
) -> Float[np.ndarray, "tables n_class"]:
    """From the F1 of each class down to the F1 of Wilson's lower end of its share."""
    share = hits / np.maximum(union, 1)
    lowest, _ = wilson_interval(hits, union, level)
    return 2 * share / (1 + share) - 2 * lowest / (1 + lowest)


def _shrunk_share(
    hits: Float[np.ndarray, "tables n_class"],
    union: Float[np.ndarray, "tables n_class"],
) -> Float[np.ndarray, "tables n_class"]:
    """The share of right rows of each class, shrunk towards that of all classes."""
    mean = (hits.sum(axis=1) + _PRIOR) / (union.sum(axis=1) + 2 * _PRIOR)
    return (hits + _PRIOR * mean[:, None]) / (union + _PRIOR)
