"""Compares two classifiers on the same rows: is their difference more than chance?"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool
from scipy.special import bdtr, ndtri

RESAMPLES = 1000
_LEVEL = 0.95


class PairedComparison(NamedTuple):
    """The numbers of texts on which both, one or none of two classifiers are right.

    `difference` is the accuracy of b minus that of a; `low` and `high` are its 95 %
    interval. `p_value` is that of McNemar's exact test.
    """

    both: int
    only_a: int
    only_b: int
    neither: int
    p_value: float
    difference: float
    low: float
    high: float

    @property
    def n(self) -> int:
        """The number of texts."""
        return self.both + self.only_a + self.only_b + self.neither


def compare_paired(
    right_a: Bool[np.ndarray, " n"],
    right_b: Bool[np.ndarray, " n"],
    *,
    seed: int = 0,
) -> PairedComparison:
    """The counts of the four cases, McNemar's exact test, and the paired bootstrap.

    The test is two-sided and binomial: if both were equally good, half of the texts
    that only one gets right would be b's. A resample of the texts is a multinomial draw
    of the cases. If no text is right for only one of them, every resample is 0; the
    interval is then Wilson's bound for a case that was never seen. Source: McNemar
    1947.
    """
    n = len(right_a)
    assert n == len(right_b) > 0, (n, len(right_b))
    only_a = int(np.sum(right_a & ~right_b))
    only_b = int(np.sum(right_b & ~right_a))
    both = int(np.sum(right_a & right_b))
    n_discordant = only_a + only_b
    p_value = min(1.0, 2 * bdtr(min(only_a, only_b), n_discordant, 0.5))
    low, high = _difference_interval(only_a, only_b, n, seed)
    counts = both, only_a, only_b, n - both - n_discordant
    return PairedComparison(*counts, float(p_value), (only_b - only_a) / n, low, high)


def _difference_interval(
    only_a: int, only_b: int, n: int, seed: int
) -> tuple[float, float]:
    if only_a + only_b == 0:
        square = float(ndtri(0.5 + _LEVEL / 2)) ** 2
        return -square / (n + square), square / (n + square)
    shares = np.array([only_a, only_b, n - only_a - only_b]) / n
    drawn = np.random.default_rng(seed).multinomial(n, shares, size=RESAMPLES)
    low, high = _bounds((drawn[:, 1] - drawn[:, 0]) / n)
    return float(low), float(high)


def _bounds(values: np.ndarray) -> Any:
    tail = (1 - _LEVEL) / 2
    return np.quantile(values, [tail, 1 - tail], axis=0)
