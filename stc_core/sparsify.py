"""From probes of every site to one small head: select, integrate, choose.

The default preset `stc`; the paper's own recipe is in spin.py. Both choose on the
validation rows alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.axes import Feature, Progress, silent
from stc_core.candidates import Pool, gather
from stc_core.head import SparseHead, standard
from stc_core.metrics import accuracy, fit_temperature, macro_f1
from stc_core.probe import ProbeResult
from stc_core.select import (
    RIDGES,
    Gram,
    gram,
    importance,
    keep_top,
    last_best,
    smooth,
    solve_ridge,
)
from stc_core.task import Read, Task

SLACK = 0.25
SHARPNESS = 10.0
"""Least-squares scores lie near 0 and 1: this brings a temperature near 1."""


class Point(NamedTuple):
    """One cheaper classifier that was considered: its cost, its validation score."""

    curve: str  # "neurons" or "depth"
    neurons: int
    layer: int
    ridge: float
    accuracy: float
    macro_f1: float


class Fitted(NamedTuple):
    """A head, what else was considered, and how the head did before its refit.

    `validation_logits` are those of the head fitted on the training rows alone; `trust`
    is what a ridge head trusts each of its neurons, None for another head.
    """

    head: SparseHead
    points: tuple[Point, ...]
    chosen: dict[str, float | int | str]
    validation_logits: Float[np.ndarray, "n_val n_class"]
    trust: Float[np.ndarray, " n"] | None = None


def fit_stc(
    read: Read,
    task: Task,
    probes: Sequence[ProbeResult],
    *,
    eta: float | None = None,
    budget: int | None = None,
    progress: Progress = silent,
) -> Fitted:
    """The preset `stc`: candidates by probe weights, joint re-selection, ridge head.

    Candidates are the neurons that hold a share eta of each layer's squared
    standardised probe weights (ETA if none is given, then MOST_CANDIDATES in all). A
    ridge model of all of them, which trusts sites by how well their probes do, ranks
    them beside each other; the fewest that do as well as any number on validation (or
    `budget`) are kept and read by a temperature-scaled ridge head, fitted again on
    train and validation.
    """
    pool = gather(read, task, probes, eta=eta)
    search = _Search(task, pool)
    counts = search.counts(budget)
    depths = sorted(set(pool.layers.tolist()))
    n_steps = len(counts) + len(depths)
    trials = []
    for n in counts:
        trials.append(search.trial(keep_top(search.rank, n)))
        progress(len(trials), n_steps)
    best, ridge = choose(counts, np.stack([t.score for t in trials]), search.error)
    if budget:
        best = len(counts) - 1
    points = [trial.point("neurons") for trial in trials]
    points[best] = trials[best].point("neurons", ridge)
    for layer in depths:
        points.append(search.at_depth(layer, counts[best]))
        progress(len(points), n_steps)
    best = points[best]
    columns = np.sort(keep_top(search.rank, best.neurons))
    head, logits = fit_head(
        pool.X[:, columns],
        task,
        [pool.features[column] for column in columns],
        ridge=best.ridge,
        trust=pool.trust[columns],
    )
    chosen = {
        "eta": pool.eta,
        "candidates": len(pool.features),
        "joint_ridge": search.ridge,
        "ridge": best.ridge,
        "temperature": head.temperature,
    }
    return Fitted(head.scaled, tuple(points), chosen, logits, pool.trust[columns])


def choose(
    counts: Sequence[int], scores: Float[np.ndarray, "n_counts n_ridges"], error: float
) -> tuple[int, int]:
    """Positions of the chosen count of neurons and of its ridge.

    Each validation accuracy is averaged with its neighbours in the grid first, since
    the best of many single cells is luck on few rows. Then the fewest neurons within
    SLACK standard errors of the best, and for them the best ridge, the larger on a tie.
    """
    even = smooth(smooth(scores).T).T
    best = even.max(axis=1)
    count = int(np.flatnonzero(best >= best.max() - SLACK * error)[0])
    return count, last_best(even[count])


class _Search:
    """Validation scores of subsets of the candidates, all from one Gram matrix.

    Each subset is read by the very head that it would get, a least-squares ridge, so
    that a score costs a small solve and no pass over the training rows.
    """

    def __init__(self, task: Task, pool: Pool) -> None:
        self.pool = pool
        self.train = moments_of(pool.Z, task, task.train)
        self.Z_val = pool.Z[task.validation]
        self.y_val = task.codes[task.validation]
        self.weighted = task.class_weight is not None
        trial = self.trial(np.arange(len(pool.features)))
        best = float(trial.score.max())
        self.error = (best * (1 - best) / len(self.y_val)) ** 0.5
        self.ridge = RIDGES[trial.best]
        self.rank = importance(solve_ridge(self.train.gram, self.ridge).T)

    def counts(self, budget: int | None) -> list[int]:
        """How many neurons to try: powers of 2 and of 2^.5 up to all, or the budget."""
        most = min(budget or len(self.rank), np.count_nonzero(self.rank))
        steps = sorted({round(2 ** (i / 2)) for i in range(64)})
        few = [n for n in steps if n < most and (n >= 128 or n & (n - 1) == 0)]
        return [*few, int(most)]

    def at_depth(self, layer: int, n: int) -> Point:
        """The same number of neurons, re-selected from the layers up to `layer`."""
        below = np.flatnonzero(self.pool.layers <= layer)
        rank = importance(solve_ridge(self.train.gram.restricted(below), self.ridge).T)
        trial = self.trial(below[keep_top(rank, n)])
        return trial.point("depth")._replace(layer=layer)

    def trial(self, columns: Int[np.ndarray, " kept"]) -> "Trial":
        """How well these columns do under each ridge."""
        part = self.train.gram.restricted(columns)
        Z = self.Z_val[:, columns]
        right, f1 = [], []
        for ridge in RIDGES:
            scores = Z @ solve_ridge(part, ridge) + self.train.prior
            guess = scores.argmax(axis=1)
            right.append(accuracy(self.y_val, guess))
            f1.append(macro_f1(self.y_val, guess))
        deepest = int(self.pool.layers[columns].max())
        right, f1 = np.array(right), np.array(f1)
        return Trial(len(columns), deepest, right, f1, f1 if self.weighted else right)


class Trial(NamedTuple):
    """A subset of the candidates and its validation scores under each ridge."""

    neurons: int
    layer: int
    accuracy: Float[np.ndarray, " n_ridges"]
    macro_f1: Float[np.ndarray, " n_ridges"]
    score: Float[np.ndarray, " n_ridges"]  # what is chosen by: F1 with class weights

    @property
    def best(self) -> int:
        """The ridge with the best score, smoothed over its neighbours."""
        return last_best(smooth(self.score[None])[0])

    def point(self, curve: str, ridge: int | None = None) -> Point:
        at = self.best if ridge is None else ridge
        right, f1 = float(self.accuracy[at]), float(self.macro_f1[at])
        return Point(curve, self.neurons, self.layer, RIDGES[at], right, f1)


class Moments(NamedTuple):
    """The Gram matrix of some rows, their mean and the shares of the classes."""

    gram: Gram
    center: Float[np.ndarray, " d"]
    prior: Float[np.ndarray, " n_class"]


def moments_of(
    Z: Float[np.ndarray, "n d"], task: Task, rows: Int[np.ndarray, " some"]
) -> Moments:
    """What a ridge model needs to know of `rows`."""
    weights, codes, n_class = task.weights(rows), task.codes[rows], len(task.classes)
    prior = np.bincount(codes, weights, n_class) / weights.sum()
    return Moments(
        gram(Z[rows], codes, n_class=n_class, sample_weight=weights),
        np.average(Z[rows], axis=0, weights=weights).astype(np.float32),
        prior.astype(np.float32),
    )


class TemperedHead(NamedTuple):
    """A head whose logits have been divided by a temperature, and that temperature."""

    scaled: SparseHead
    temperature: float


def fit_head(
    X: Float[np.ndarray, "n d"],
    task: Task,
    features: Sequence[Feature],
    *,
    ridge: float,
    trust: Float[np.ndarray, " d"],
) -> tuple[TemperedHead, Float[np.ndarray, "n_val n_class"]]:
    """The head on raw columns X, and its validation logits before the refit.

    A least-squares ridge model of the classes, fitted on train, gets its temperature
    on validation; then it is fitted again on train and validation together.
    """
    first = fit_ridge_head(X, task, features, rows=task.train, ridge=ridge, trust=trust)
    logits = first.logits(X[task.validation])
    temperature = fit_temperature(logits, task.codes[task.validation])
    last = fit_ridge_head(
        X, task, features, rows=task.learned, ridge=ridge, trust=trust
    )
    return TemperedHead(last.cooled(temperature), temperature), logits / temperature


def fit_ridge_head(
    X: Float[np.ndarray, "n d"],
    task: Task,
    features: Sequence[Feature],
    *,
    rows: Int[np.ndarray, " some"],
    ridge: float,
    trust: Float[np.ndarray, " d"] | None = None,
) -> SparseHead:
    """A head fitted on `rows`, SHARPNESS times the least-squares class scores.

    The penalty on feature j is divided by trust_j^2; without trust all are equal.
    """
    mean, sd = standard(X[rows], task.weights(rows))
    scale = np.ones(X.shape[1], np.float32) if trust is None else trust
    moments = moments_of(((X - mean) / sd * scale).astype(np.float32), task, rows)
    W = solve_ridge(moments.gram, ridge).T * SHARPNESS
    bias = SHARPNESS * moments.prior - W @ moments.center
    return SparseHead(tuple(features), mean, sd, W * scale, bias, task.classes)
