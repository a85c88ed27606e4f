"""How deep a classifier must read: depths compared on the same held rows."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from stc_core.metrics.criteria import Criterion
from stc_core.metrics.scores import ScoreFunction
from stc_core.selection.frontier import Option

RESAMPLES = 200
MOST_ERRORS = 1.0
"""A depth is as good as the best if it is behind by at most so many standard errors."""


def shallowest_as_good(
    options: Sequence[Option], y: Int[np.ndarray, " n_held"], score: Criterion
) -> Option:
    """Of one option for each depth the shallowest that is not worse than the best.

    An option is not worse if its score on the held rows, whose classes are y, is behind
    the best one by at most MOST_ERRORS standard errors of the difference. Both answer
    the same rows, so the error is that of the pairs: texts that both get right or both
    get wrong say nothing. A score that is not one of answers has no such rule here, and
    the best option is taken.
    """
    ranked = sorted(options, key=lambda option: (option.deepest, option.layer))
    best = max(ranked, key=lambda option: option.score)
    if score.of_answers is None:
        return best
    for option in ranked:
        error = _paired_error(y, best.held, option.held, score.of_answers)
        if best.score - option.score <= MOST_ERRORS * error + 1e-9:
            return option
    return best


def _paired_error(
    y: Int[np.ndarray, " n"],
    one: Int[np.ndarray, " n"],
    other: Int[np.ndarray, " n"],
    score: ScoreFunction,
) -> float:
    """The standard error of the difference of two scores, by bootstrap of the rows.

    The draws are the same each time: equal answers give an equal result.
    """
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(y), (RESAMPLES, len(y)))
    gaps = [score(y[rows], one[rows]) - score(y[rows], other[rows]) for rows in draws]
    return float(np.std(gaps, ddof=1))
