"""Baselines without selection: a dense head on one pooled site, or on all of them.

A baseline gets what the classifier gets: the same rows, standardisation, grid and
score. On one site it also gets a second kind of head, logistic regression.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from stc_core.data.task import Read, Task
from stc_core.heads.head import mean_and_sd, value_range
from stc_core.heads.kernel_ridge import Block, joint_ridge
from stc_core.heads.least_squares import RIDGES, solve_ridge
from stc_core.heads.ridge import moments
from stc_core.metrics.scores import SAME_SCORE, last_best, metric_of
from stc_core.probes.fit import ProbeResult
from stc_core.selection.guess import Guess
from stc_core.types import PooledSite

LOGISTIC_CS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3)
"""Strengths of logistic heads on standardised columns, as many as RIDGES: C times the
sum of the losses, plus half the sum of the squared weights."""
MOST_IDLE = 2
"""The logistic heads of a site end after so many strengths without a better score."""
MOST_DENSE_ROWS = 12_000
"""The most rows that a head on all sites is fitted on: its cost grows with their
square."""


class _Ridge(NamedTuple):
    """A least-squares head: scores = prior + (z - center) W."""

    W: Float[np.ndarray, "d n_class"]
    center: Float[np.ndarray, " d"]
    prior: Float[np.ndarray, " n_class"]

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The class with the highest score of each row."""
        return ((X - self.center) @ self.W + self.prior).argmax(axis=1)


class _Choice(NamedTuple):
    """A kind of head with its strength on a site, and its validation score."""

    score: float
    site: PooledSite
    head: str
    strength: float

    @property
    def detail(self) -> str:
        sign = f"{self.strength:g}" if self.head == "ridge" else f"C {self.strength:g}"
        return f"{self.site}, {self.head} {sign}"


def site_guess(
    read: Read,
    task: Task,
    test: Int[np.ndarray, " n_test"],
    sites: Sequence[PooledSite],
) -> Guess:
    """The guess of the best head on one of `sites`, the best by its validation score.

    Ridge models of all RIDGES choose the site; then logistic regressions of
    LOGISTIC_CS compete with them. On a tie the one that comes first wins: the site that
    comes first, ridge before logistic, the stronger penalty before the weaker. The
    winner is fitted again on train and validation.
    """
    best = _first_best(
        choice for site in sites for choice in _ridge_choices(read(site), task, site)
    )
    X = read(best.site)
    best = _first_best((best, *_logistic_choices(X, task, best.site)))
    Z, Z_test = _standardised(X, task, task.learned, test)
    fit = _fit_ridge if best.head == "ridge" else _fit_logistic
    model = fit(Z, task, task.learned, best.strength)
    return Guess(np.asarray(model.predict(Z_test), int), best.detail)


def _first_best(choices: Iterable[_Choice]) -> _Choice:
    """The choice with the highest score; the first of equal ones, up to rounding."""
    best: _Choice | None = None
    for choice in choices:
        if best is None or choice.score > best.score + SAME_SCORE:
            best = choice
    assert best is not None, "no choices"
    return best


def _ridge_choices(
    X: Float[np.ndarray, "n d"], task: Task, site: PooledSite
) -> Iterator[_Choice]:
    """The ridge models of a site, with their scores, the largest ridge first."""
    score, y = metric_of(task.class_weight), task.codes[task.validation]
    Z, Z_val = _standardised(X, task, task.train, task.validation)
    sums = moments(Z, task, task.train)
    for ridge in sorted(RIDGES, reverse=True):
        model = _Ridge(solve_ridge(sums.gram, ridge), sums.center, sums.prior)
        yield _Choice(score(y, model.predict(Z_val)), site, "ridge", ridge)


def _logistic_choices(
    X: Float[np.ndarray, "n d"], task: Task, site: PooledSite
) -> Iterator[_Choice]:
    """The logistic heads of a site, with their scores, the strongest penalty first.

    Each begins at the weights of the one before it. They end after MOST_IDLE of them
    that are no better.
    """
    score, y = metric_of(task.class_weight), task.codes[task.validation]
    Z, Z_val = _standardised(X, task, task.train, task.validation)
    best, idle, model = -1.0, 0, _logistic(task)
    for C in LOGISTIC_CS:
        model.C = C
        found = score(y, _fitted(model, Z, task.codes[task.train]).predict(Z_val))
        yield _Choice(found, site, "logistic regression", C)
        best, idle = (found, 0) if found > best + SAME_SCORE else (best, idle + 1)
        if idle == MOST_IDLE:
            return


def _standardised(
    X: Float[np.ndarray, "n d"],
    task: Task,
    rows: Int[np.ndarray, " some"],
    others: Int[np.ndarray, " m"],
) -> tuple[Float[np.ndarray, "some d"], Float[np.ndarray, "m d"]]:
    """Both parts, standardised by `rows`; `others` within the range of these."""
    mean, sd = mean_and_sd(X[rows], task.weights(rows))
    inside = np.clip(X[others], *value_range(X[rows]))
    return (X[rows] - mean) / sd, (inside - mean) / sd


def _fit_ridge(
    Z: Float[np.ndarray, "some d"],
    task: Task,
    rows: Int[np.ndarray, " some"],
    ridge: float,
) -> _Ridge:
    """The least-squares head on standardised `rows`, which are overwritten."""
    sums = moments(Z, task, rows)
    return _Ridge(solve_ridge(sums.gram, ridge), sums.center, sums.prior)


def _fit_logistic(
    Z: Float[np.ndarray, "some d"], task: Task, rows: Int[np.ndarray, " some"], C: float
) -> LogisticRegression:
    model = _logistic(task)
    model.C = C
    return _fitted(model, Z, task.codes[rows])


def _logistic(task: Task) -> LogisticRegression:
    """A model that begins each fit at the result of the last one."""
    return LogisticRegression(
        class_weight=task.class_weight, warm_start=True, tol=1e-3, max_iter=300
    )


def _fitted(
    model: LogisticRegression, Z: np.ndarray, y: np.ndarray
) -> LogisticRegression:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(Z, y)


def all_sites_guess(
    read: Read,
    task: Task,
    test: Int[np.ndarray, " n_test"],
    probes: Sequence[ProbeResult],
    *,
    seed: int,
) -> Guess:
    """The guess of a ridge head on every column of every pooled site (eta = 1).

    A logistic head would take too long here.
    """
    train, learned = _some_rows(task, seed)
    sites = [probe.pooled_site for probe in probes]
    score, y = metric_of(task.class_weight), task.codes[task.validation]
    widths = [probe.path.coef.shape[2] for probe in probes]
    blocks = [
        Block(partial(read, site), width)
        for site, width in zip(sites, widths, strict=True)
    ]
    trial_logits = joint_ridge(
        blocks, task, train, others=task.validation, ridges=RIDGES
    ).scores
    scores = [score(y, logits.argmax(axis=1)) for logits in trial_logits]
    best = RIDGES[last_best(np.array(scores))]
    final = joint_ridge(blocks, task, learned, others=test, ridges=(best,))
    is_cut = len(learned) < len(task.learned)
    suffix = f", fitted on {len(learned):,} rows" if is_cut else ""
    detail = f"{sum(widths):,} features, least squares, ridge {best:g}{suffix}"
    return Guess(final.scores[0].argmax(axis=1), detail)


def _some_rows(task: Task, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows for the choice of the ridge, and rows for the final fit.

    The first are training rows, the second train and validation rows. If there are more
    than MOST_DENSE_ROWS of the second, both are drawn at random, in the same
    proportion.
    """
    train, learned = task.train, task.learned
    if len(learned) <= MOST_DENSE_ROWS:
        return train, learned
    rng = np.random.default_rng(seed)
    n = int(len(train) * MOST_DENSE_ROWS / len(learned))
    train = np.sort(rng.choice(train, n, replace=False))
    validation = rng.choice(task.validation, MOST_DENSE_ROWS - n, replace=False)
    return train, np.concatenate([train, validation])
