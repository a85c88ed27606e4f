"""Comprehensiveness and sufficiency of an attribution: what the answer loses without
its strongest parts, and what it loses with these alone.

Source: DeYoung et al. 2020 (ERASER, arXiv 1911.03429).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from stc_core.metrics.intervals import LEVEL

ERASED_SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
"""The shares of the parts that are taken away, as in ERASER."""
_RESAMPLES = 2000


class MeanInterval(NamedTuple):
    """The mean of some values and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


def part_counts(n: int, shares: Sequence[float] = ERASED_SHARES) -> list[int]:
    """How many of `n` parts each share is, rounded up.

    It is never all of them, so that something is left of the text: `n` is 2 or more.
    """
    assert n > 1, n
    return [min(n - 1, max(1, int(np.ceil(share * n - 1e-9)))) for share in shares]


def strongest_parts(
    values: Float[np.ndarray, " n"], counts: Sequence[int]
) -> list[Int[np.ndarray, " _"]]:
    """The parts with the highest values, so many for each count, ascending.

    Signs count: a part that speaks against the class comes last. Of equal parts the
    first one is taken.
    """
    order = np.argsort(-values, kind="stable")
    return [np.sort(order[:count]) for count in counts]


def aopc(
    whole: Float[np.ndarray, " n"], after: Float[np.ndarray, "n n_shares"]
) -> Float[np.ndarray, " n"]:
    """The area over the perturbation curve of each text.

    That is what the probability of its class loses, as a mean over the shares. `after`
    are the probabilities without the strongest parts (comprehensiveness, more is
    better) or with these alone (sufficiency, less is better).
    """
    return (whole[:, None] - after).mean(axis=1)


def bootstrap_mean(values: Float[np.ndarray, " n"], *, seed: int = 0) -> MeanInterval:
    """The mean over the texts and its 95 % interval, by the percentile bootstrap.

    One value has no interval: both ends are the value.
    """
    mean = float(values.mean())
    if len(values) < 2 or np.ptp(values) == 0:
        return MeanInterval(mean, mean, mean)
    found = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=_RESAMPLES,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return MeanInterval(mean, float(found.low), float(found.high))
