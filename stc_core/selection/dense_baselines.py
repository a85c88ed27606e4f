"""Baselines without selection: a dense head on one pooled site, or on all of them.

A baseline gets what the classifier gets: the same rows, standardisation, grid and
score. On one site it also gets a second kind of head, logistic regression.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression

from stc_core.data.task import Read, Task
from stc_core.heads.head import mean_and_sd, value_range
from stc_core.heads.kernel_ridge import Block, joint_leave_one_out, joint_ridge
from stc_core.heads.least_squares import RIDGES
from stc_core.heads.logistic import fit_logistic, logistic_scores
from stc_core.heads.nested_ridge import nested_scores
from stc_core.heads.parallel import in_threads
from stc_core.heads.ridge import fit_ridge_head
from stc_core.metrics.scores import SAME_SCORE, last_best
from stc_core.probes.fit import ProbeResult
from stc_core.selection.folds import MOST_LEFT_OUT, Fold, digests, judging_folds
from stc_core.selection.guess import Guess
from stc_core.types import PooledSite

LOGISTIC_CS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3)
"""Strengths of logistic heads on standardised columns, as many as RIDGES: C times the
sum of the losses, plus half the sum of the squared weights."""
LIKELIEST = 4
"""So many sites are judged by folds if there are many rows."""
MOST_IDLE = 2
"""The logistic heads of a site end after so many strengths without a better score."""
MOST_DENSE_ROWS = 12_000
"""The most rows that a head on all sites is fitted on: its cost grows with their
square."""


class _Choice(NamedTuple):
    """A kind of head with its strength on a site, and its score on held rows."""

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
    """The guess of the best head on one of `sites`, the best by its score on held rows.

    The held rows are those of `judging_folds`, which judge the classifier, too. Ridge
    models of all RIDGES choose the site; with more than MOST_LEFT_OUT learned rows only
    the LIKELIEST sites by validation are tried, as folds take five times as long. Then
    logistic regressions of LOGISTIC_CS compete with them. On a tie the one that comes
    first wins: the site that comes first, ridge before logistic, the stronger penalty
    before the weaker. The winner is fitted again on all learned rows.
    """
    folds = judging_folds(task, digests(read(sites[-1])))
    if len(task.learned) > MOST_LEFT_OUT:
        sites = _likeliest(read, task, sites)
    tried = in_threads(
        lambda site: list(_ridge_choices(read(site), task, folds, site)), sites
    )
    best = _first_best(choice for of_site in tried for choice in of_site)
    X = read(best.site)
    best = _first_best((best, *_logistic_choices(X, task, folds, best.site)))
    if best.head == "ridge":
        head = fit_ridge_head(X, task, (), rows=task.learned, ridge=best.strength)
        return Guess(head.logits(X[test]).argmax(axis=1), best.detail)
    Z, Z_test = _standardised(X, task, Fold(task.learned, test))
    model = fit_logistic(_logistic(best.strength), Z, task, task.learned)
    return Guess(logistic_scores(model, Z_test, task).argmax(axis=1), best.detail)


def _likeliest(read: Read, task: Task, sites: Sequence[PooledSite]) -> list[PooledSite]:
    """The LIKELIEST sites with the best ridge models on the validation rows."""
    split = (Fold(task.train, task.validation),)
    scores = [
        max(one.score for one in _ridge_choices(read(site), task, split, site))
        for site in sites
    ]
    first = np.argsort(-np.array(scores), kind="stable")[:LIKELIEST]
    return [sites[place] for place in np.sort(first).tolist()]


def _first_best(choices: Iterable[_Choice]) -> _Choice:
    """The choice with the highest score; the first of equal ones, up to rounding."""
    best: _Choice | None = None
    for choice in choices:
        if best is None or choice.score > best.score + SAME_SCORE:
            best = choice
    assert best is not None, "no choices"
    return best


def _ridge_choices(
    X: Float[np.ndarray, "n d"], task: Task, folds: Sequence[Fold], site: PooledSite
) -> Iterator[_Choice]:
    """The ridge models of a site, with their scores, the largest ridge first."""
    ridges, parts = sorted(RIDGES, reverse=True), []
    for fold in folds:
        Z, Z_held = _standardised(X, task, fold)
        scores = nested_scores(
            Z,
            Z_held,
            task.codes[fold.fit],
            n_class=len(task.classes),
            sample_weight=task.weights(fold.fit),
            sizes=[X.shape[1]],
            ridges=ridges,
        )
        parts.append(next(scores))
    held = _held(folds)
    for ridge, scores in zip(ridges, np.concatenate(parts, axis=1), strict=True):
        yield _Choice(task.score(held, scores), site, "ridge", ridge)


def _logistic_choices(
    X: Float[np.ndarray, "n d"], task: Task, folds: Sequence[Fold], site: PooledSite
) -> Iterator[_Choice]:
    """The logistic heads of a site, with their scores, the strongest penalty first.

    In each fold a head begins at the weights of the one before it. They end after
    MOST_IDLE of them that are no better.
    """
    held = _held(folds)
    parts = [_standardised(X, task, fold) for fold in folds]
    models = [_logistic(1.0) for _ in folds]
    best, idle = -1.0, 0
    for C in LOGISTIC_CS:
        scores = []
        for model, fold, (Z, Z_held) in zip(models, folds, parts, strict=True):
            model.C = C
            fit_logistic(model, Z, task, fold.fit)
            scores.append(logistic_scores(model, Z_held, task))
        found = task.score(held, np.concatenate(scores))
        yield _Choice(found, site, "logistic regression", C)
        best, idle = (found, 0) if found > best + SAME_SCORE else (best, idle + 1)
        if idle == MOST_IDLE:
            return


def _held(folds: Sequence[Fold]) -> Int[np.ndarray, " n_held"]:
    return np.concatenate([fold.held for fold in folds])


def _standardised(
    X: Float[np.ndarray, "n d"], task: Task, fold: Fold
) -> tuple[Float[np.ndarray, "some d"], Float[np.ndarray, "m d"]]:
    """Both parts, standardised by the fitted one; the others within its range."""
    fitted = X[fold.fit]
    mean, sd = mean_and_sd(fitted, task.weights(fold.fit))
    inside = np.clip(X[fold.held], *value_range(fitted))
    return (fitted - mean) / sd, (inside - mean) / sd


def _logistic(C: float) -> LogisticRegression:
    """A model that begins each fit at the result of the last one."""
    return LogisticRegression(C=C, warm_start=True, tol=1e-3, max_iter=300)


def all_sites_guess(
    read: Read,
    task: Task,
    test: Int[np.ndarray, " n_test"],
    probes: Sequence[ProbeResult],
    *,
    seed: int,
) -> Guess:
    """The guess of a ridge head on every column of every pooled site (eta = 1).

    With few learned rows their leave-one-out scores choose the ridge, else those of
    validation. A logistic head would take too long here.
    """
    train, learned = _some_rows(task, seed)
    widths = [len(probe.importance) for probe in probes]
    blocks = [
        Block(partial(read, probe.pooled_site), width)
        for probe, width in zip(probes, widths, strict=True)
    ]
    judged = learned if len(learned) <= MOST_LEFT_OUT else task.validation
    if judged is learned:
        tried = joint_leave_one_out(blocks, task, learned, ridges=RIDGES)
    else:
        tried = joint_ridge(blocks, task, train, others=judged, ridges=RIDGES).scores
    best = RIDGES[last_best(np.array([task.score(judged, one) for one in tried]))]
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
