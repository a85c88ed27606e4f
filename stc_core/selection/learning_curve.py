"""Would more rows help? Scores by number of rows, continued by a power law.

Each score is that of ridge models of all columns together, fitted on so many rows and
judged by rows that they have not seen. They read nothing but the inner products of the
rows, so the features are read once. The scores of the run itself set the level.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from stc_core.data.task import Read, Task
from stc_core.heads.folds import FOLDS, stratified_folds
from stc_core.heads.head import mean_and_sd
from stc_core.heads.kernel_ridge import add_products
from stc_core.heads.least_squares import MOST_TINY, solve_positive
from stc_core.metrics.power_law import PowerLaw, fit_power_laws
from stc_core.metrics.resampling import RESAMPLES
from stc_core.types import PooledSite

DRAWS = 4
"""The rows are drawn, and split into folds, so many times."""
SIZES = 6
"""So many numbers of rows; each is the next one divided by the root of 2."""
FEWEST_ROWS, FEWEST_PER_CLASS = 100, 5
"""With fewer learned rows there is no curve: a bench found its forecasts wrong."""
MOST_LEARNING_ROWS = 2000
"""With more learned rows there is none, either: they would take minutes."""
_RIDGE = 1.0
WIDEN = 1.5
"""Resampled bands are widened by this, which covers the luck of the learned rows. A
bench chose it."""
_LEAST_ERROR = 0.005
_POINTS = 24


class RowForecast(NamedTuple):
    """The accuracy with `more` rows of the same kind, and its 95 % band.

    `gain` is what the rows add to the accuracy of the present ones, with its own band.
    """

    more: int
    score: float
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float


class LearningCurve(NamedTuple):
    """The accuracy by number of rows that a classifier is fitted on.

    `scores` and `errors` (standard errors) were measured with `sizes` rows; the run has
    `rows`. `line` has a forecast for numbers of rows from the first size to twice the
    present one. `forecasts` begin with that for no more rows.
    """

    rows: int
    sizes: tuple[int, ...]
    scores: tuple[float, ...]
    errors: tuple[float, ...]
    line: tuple[RowForecast, ...]
    forecasts: tuple[RowForecast, ...]

    def record(self) -> dict[str, Any]:
        """The curve as a run keeps it in JSON."""
        return {
            **self._asdict(),
            "line": [point._asdict() for point in self.line],
            "forecasts": [point._asdict() for point in self.forecasts],
        }


def measure_learning(
    read: Read,
    task: Task,
    sites: Sequence[PooledSite],
    keys: Shaped[np.ndarray, " n"],
    *,
    held_accuracy: float,
    test: tuple[float, int] = (0.0, 0),
    wanted: Sequence[int] = (),
) -> LearningCurve | None:
    """The learning curve of the learned rows; None if they are too few or too many.

    `held_accuracy` is that of the run on its learned rows, held out in FOLDS folds, and
    `test` its accuracy on test rows and their number: the curve is shifted to the level
    of all these rows together. Rows of equal `keys` are never on both sides. There are
    forecasts for the present rows and for `wanted` numbers of more rows, by default
    about half as many and about as many.
    """
    rows = task.learned
    n = len(rows)
    if (
        not max(FEWEST_ROWS, FEWEST_PER_CLASS * len(task.classes))
        <= n
        <= MOST_LEARNING_ROWS
    ):
        return None
    largest = n - -(-n // FOLDS)
    sizes = [round(largest * 2 ** (-step / 2)) for step in reversed(range(SIZES))]
    products = inner_products(read, sites, rows)
    right = _right(products, task, rows, keys[rows], sizes)
    scores, resampled = _scores(right)
    errors = np.maximum(resampled.std(axis=0), _LEAST_ERROR)
    laws = fit_power_laws(
        np.array(sizes, float), np.concatenate([scores[None], resampled]), errors
    )
    of_test, n_test = test
    above = held_accuracy - float(scores[-1]), of_test - float(laws.at(n)[0])
    shift = float(np.average(above, weights=(n, n_test)))
    asked = wanted or sorted({_rounded(n // 2), _rounded(n)})
    places = np.geomspace(sizes[0], 2 * n, _POINTS)
    return LearningCurve(
        n,
        tuple(sizes),
        tuple((scores + shift).tolist()),
        tuple(errors.tolist()),
        tuple(_forecast(laws, n, round(float(at)) - n, shift) for at in places),
        tuple(_forecast(laws, n, more, shift) for more in (0, *asked)),
    )


def inner_products(
    read: Read, sites: Sequence[PooledSite], rows: Int[np.ndarray, " n"]
) -> Float[np.ndarray, "n n"]:
    """The inner products of the rows, over the standardised columns of all sites."""
    G = np.zeros((len(rows), len(rows)), np.float32)
    for site in sites:
        Z = read(site)[rows]
        mean, sd = mean_and_sd(Z)
        Z -= mean
        Z /= sd
        add_products(G, Z)
    return np.tril(G) + np.tril(G, -1).T


def ridge_guesses(
    products: Float[np.ndarray, "n n"],
    task: Task,
    rows: Int[np.ndarray, " n"],
    fit: Int[np.ndarray, " k"],
    held: Int[np.ndarray, " m"],
) -> Int[np.ndarray, " m"]:
    """The classes of `held` by the ridge model of `fit`, both positions in `rows`."""
    weight, codes = task.weights(rows[fit]), task.codes[rows[fit]]
    share, root = weight / weight.sum(), np.sqrt(weight)
    inside, cross = products[np.ix_(fit, fit)], products[np.ix_(held, fit)]
    mean = inside @ share
    cross = cross - (cross @ share)[:, None] - mean + share @ mean
    inside = inside - mean - mean[:, None] + share @ mean
    inside *= root * root[:, None]
    Y = np.eye(len(task.classes), dtype=np.float32)[codes]
    prior = share @ Y
    penalty = _RIDGE * float(np.trace(inside)) / float(weight.sum())
    dual = solve_positive(inside, max(penalty, MOST_TINY), (Y - prior) * root[:, None])
    return ((cross * root) @ dual + prior).argmax(axis=1)


def _right(
    products: Float[np.ndarray, "n n"],
    task: Task,
    rows: Int[np.ndarray, " n"],
    keys: Shaped[np.ndarray, " n"],
    sizes: Sequence[int],
) -> Bool[np.ndarray, "draws size n"]:
    """Whether each row is labelled right by a model of so many other rows."""
    codes = task.codes[rows]
    right = np.zeros((DRAWS, len(sizes), len(rows)), bool)
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        fold_of = stratified_folds(keys, codes, seed=draw)
        for fold in range(FOLDS):
            held = np.flatnonzero(fold_of == fold)
            rest = rng.permutation(np.flatnonzero(fold_of != fold))
            for place, size in enumerate(sizes):
                guess = ridge_guesses(products, task, rows, rest[:size], held)
                right[draw, place, held] = guess == codes[held]
    return right


def _scores(
    right: Bool[np.ndarray, "draws size n"],
) -> tuple[Float[np.ndarray, " size"], Float[np.ndarray, "resamples size"]]:
    """The share of right answers for each size; and of resampled rows and draws."""
    draws, size, n = right.shape
    rng = np.random.default_rng(0)
    some = rng.multinomial(n, np.full(n, 1 / n), RESAMPLES) / n
    each = rng.multinomial(draws, np.full(draws, 1 / draws), RESAMPLES) / draws
    by_draw = (right.reshape(-1, n) @ some.T).reshape(draws, size, RESAMPLES)
    return right.mean(axis=(0, 2)), np.einsum("dsk,kd->ks", by_draw, each)


def _forecast(laws: PowerLaw, n: int, more: int, shift: float) -> RowForecast:
    """The forecast for n + more rows, by the first of the laws; the others give the
    band."""
    there = laws.at(n + more)
    score, low, high = np.clip(np.array(_banded(there)) + shift, 0, 1).tolist()
    return RowForecast(more, score, low, high, *_banded(there - laws.at(n)))


def _banded(values: Float[np.ndarray, " k"]) -> tuple[float, float, float]:
    """The first value, with the widened ends of 95 % of the others."""
    first, (low, high) = values[0], np.quantile(values[1:], (0.025, 0.975))
    return (
        float(first),
        float(min(first, first - WIDEN * (first - low))),
        float(max(first, first + WIDEN * (high - first))),
    )


def _rounded(number: int) -> int:
    """The number with one digit that is not 0."""
    unit = 10 ** (len(str(number)) - 1)
    return round(number / unit) * unit
