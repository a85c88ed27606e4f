"""The score of the best of many classifiers, without the flattery of the choice."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Integer

from stc_core.metrics.intervals import (
    LEVEL,
    ScoreInterval,
    macro_f1_interval,
    wilson_interval,
)
from stc_core.metrics.resampling import Resamples
from stc_core.metrics.scores import Metric, first_best


class BestOf(NamedTuple):
    """The best of `tried` classifiers, chosen on the rows that score them.

    `at` is its position and `raw` its score on these rows, which the choice flatters.
    `value` is the corrected score, `low` and `high` are its interval. They are None if
    there is no interval, and `reason` says why.
    """

    at: int
    tried: int
    raw: float
    value: float
    low: float | None
    high: float | None
    reason: str = ""


def best_of(
    y: Integer[np.ndarray, " n"],
    predicted: Integer[np.ndarray, "p n"],
    resamples: Resamples,
    metric: Metric = "accuracy",
    *,
    n_class: int | None = None,
) -> BestOf:
    """The best of the p classifiers by their scores on these rows.

    The lower end of the interval is that of the corrected score, as the choice may have
    flattered the best; the upper end is that of its raw score, as it may not have: one
    that is far better than the others is chosen in any case.
    """
    at = first_best(resamples.scores)
    raw = float(resamples.scores[at])
    value = min(raw, corrected_best(resamples))
    low, high, reason = score_interval(y, predicted[at], metric, n_class=n_class)
    if low is not None and metric == "accuracy":
        low = float(
            wilson_interval(np.array([value * len(y)]), np.array([len(y)]))[0][0]
        )
    elif low is not None:
        low = max(0.0, low - (raw - value))
    return BestOf(at, len(predicted), raw, value, low, high, reason)


def corrected_best(resamples: Resamples) -> float:
    """What the choice of the best classifier reaches on other rows, on average.

    In each resample the best is chosen on the drawn rows and scored on the rows left
    out. Its lead over the mean of all classifiers there is added to their mean score on
    all rows, so that rows that are easy or hard for all of them cancel. Source:
    Tsamardinos, Greasidou & Borboudakis 2018 (BBC-CV), without the second step.
    """
    chosen = resamples.inside.argmax(axis=1)
    leads = resamples.outside[np.arange(len(chosen)), chosen]
    leads = leads - resamples.outside.mean(axis=1)
    # On a handful of rows the mean lead can be below 0 by chance.
    lead = max(0.0, float(leads.mean()))
    return float(np.clip(resamples.scores.mean() + lead, 0.0, 1.0))


def score_interval(
    y: Integer[np.ndarray, " n"],
    predicted: Integer[np.ndarray, " n"],
    metric: Metric = "accuracy",
    *,
    n_class: int | None = None,
    level: float = LEVEL,
) -> ScoreInterval:
    """The interval of the accuracy or the macro-F1 of one classifier."""
    if metric == "macro_f1":
        return macro_f1_interval(y, predicted, n_class=n_class, level=level)
    hits = np.array([np.sum(y == predicted)])
    low, high = wilson_interval(hits, np.array([len(y)]), level)
    return ScoreInterval(float(low[0]), float(high[0]))
