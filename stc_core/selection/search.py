"""Validation scores of many subsets of the candidates, and which of them is chosen."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.data.task import Task
from stc_core.heads.least_squares import RIDGES, importance, solve_ridge
from stc_core.heads.ridge import moments
from stc_core.metrics.scores import SAME_SCORE, accuracy, last_best, macro_f1
from stc_core.selection.candidates import Pool, nothing_selected
from stc_core.selection.importance import smooth

_SLACK = 0.25


class FrontierPoint(NamedTuple):
    """One cheaper classifier that was considered: its cost, its validation score."""

    curve: str  # "neurons" or "depth"
    neurons: int
    layer: int
    ridge: float
    accuracy: float
    macro_f1: float


class OptionSearch:
    """Validation scores of subsets of the candidates, all from one Gram matrix.

    Each subset is read by the very head that it would get, a least-squares ridge, so
    that a score costs a small solve and no pass over the training rows. `ridge` is
    that of the model of all candidates which ranks them; chosen here if none is given.
    """

    def __init__(self, task: Task, pool: Pool, *, ridge: float | None = None) -> None:
        self.pool = pool
        self.train = moments(pool.standardised(task.train), task, task.train)
        self.Z_val = pool.standardised(task.validation)
        self.y_val = task.codes[task.validation]
        self.weighted = task.class_weight is not None
        self.error = 0.0  # of the best validation score, known where a ridge is chosen
        self.ridge = self._joint_ridge() if ridge is None else ridge
        self.rank = importance(solve_ridge(self.train.gram, self.ridge).T)

    def _joint_ridge(self) -> float:
        trial = self.trial(np.arange(len(self.pool.features)))
        best = float(trial.score.max())
        self.error = (best * (1 - best) / len(self.y_val)) ** 0.5
        return RIDGES[trial.best]

    def counts(self, budget: int | None) -> list[int]:
        """How many neurons to try: powers of 2 and of 2^.5 up to all, or the budget."""
        most = min(budget or len(self.rank), np.count_nonzero(self.rank))
        if not most:
            raise nothing_selected()
        steps = sorted({round(2 ** (i / 2)) for i in range(64)})
        few = [n for n in steps if n < most and (n >= 128 or n & (n - 1) == 0)]
        return [*few, int(most)]

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

    def point(self, curve: str, ridge: int | None = None) -> FrontierPoint:
        at = self.best if ridge is None else ridge
        right, f1 = float(self.accuracy[at]), float(self.macro_f1[at])
        return FrontierPoint(curve, self.neurons, self.layer, RIDGES[at], right, f1)


def choose_size(
    counts: Sequence[int], scores: Float[np.ndarray, "n_counts n_ridges"], error: float
) -> tuple[int, int]:
    """Positions of the chosen count of neurons and of its ridge.

    Each validation accuracy is averaged with its neighbours in the grid first, since
    the best of many single cells is luck on few rows. Then the fewest neurons within
    SLACK standard errors of the best, and for them the best ridge, the larger on a tie.
    """
    even = smooth(smooth(scores).T).T
    best = even.max(axis=1)
    least = best.max() - _SLACK * error - SAME_SCORE
    count = int(np.flatnonzero(best >= least)[0])
    return count, last_best(even[count])
