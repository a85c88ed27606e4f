"""What holds for many correlated scores at once: their band, and which may be best."""

import math

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtr

from stc_core.metrics.intervals import LEVEL, normal_quantile
from stc_core.metrics.resampling import Resamples
from stc_core.metrics.scores import SAME_SCORE


def simultaneous_level(resamples: Resamples, level: float = LEVEL) -> float:
    """The level of single intervals that makes all of them hold at once.

    All intervals hold together with probability `level`. The critical value is the
    quantile of the largest |t| of all scores in the resamples, which keep how the
    scores move together. It lies between that of one interval and that of Bonferroni.
    Source: Montiel Olea & Plagborg-Moller 2019, Simultaneous confidence bands (sup-t).
    """
    moves = resamples.inside - resamples.inside.mean(axis=0)
    sd = moves.std(axis=0)
    known = sd > 0
    if not known.any():
        return level
    largest = np.abs(moves[:, known] / sd[known]).max(axis=1, keepdims=True)
    critical = max(float(_quantile(largest, level)[0]), normal_quantile(level))
    return min(float(2 * ndtr(critical) - 1), 1 - 1e-9)  # 1 would leave no interval


def may_be_best(resamples: Resamples, level: float = LEVEL) -> Bool[np.ndarray, " p"]:
    """Which of the scores, on the same rows, may be the best in the population.

    The truly best one is among them with probability `level`. A score is left out if
    the lead of the best over it is above the quantile of the largest lead that others
    get over it by chance in the resamples. Sources: Hsu 1996 (multiple comparisons with
    the best); Hansen, Lunde & Nason 2011 (the bootstrap of the maximum).
    """
    leads = resamples.scores.max() - resamples.scores
    moves = resamples.inside - resamples.inside.mean(axis=0)
    by_chance = moves.max(axis=1, keepdims=True) - moves  # (b, p)
    return leads <= _quantile(by_chance, level) + SAME_SCORE


def _quantile(
    values: Float[np.ndarray, "b p"], level: float
) -> Float[np.ndarray, " p"]:
    """The quantile of b draws: that of rank level (b + 1), rounded up."""
    rank = min(math.ceil(level * (len(values) + 1)), len(values))
    return np.partition(values, rank - 1, axis=0)[rank - 1]
