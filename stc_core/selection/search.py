"""Validation scores of many subsets of the candidates, and the choice among them."""

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
    """A classifier that was considered: its cost and its validation scores."""

    curve: str  # "neurons" or "depth"
    neurons: int
    layer: int
    ridge: float
    accuracy: float
    macro_f1: float


class OptionSearch:
    """Validation scores of subsets of the candidates, all from one Gram matrix.

    Each subset is scored with the kind of head that it would get, a least-squares ridge
    head. So a score costs a small solve and no pass over the training rows. `ridge` is
    the ridge of the model of all candidates, whose weights rank them; without it, it is
    chosen here by the validation score.
    """

    def __init__(self, task: Task, pool: Pool, *, ridge: float | None = None) -> None:
        self.pool = pool
        self.train = moments(pool.standardised(task.train), task, task.train)
        self.Z_val = pool.standardised(task.validation)
        self.y_val = task.codes[task.validation]
        self.weighted = task.class_weight is not None
        self.error = 0.0  # standard error of the best score; 0 if `ridge` is given
        self.ridge = self._joint_ridge() if ridge is None else ridge
        self.rank = importance(solve_ridge(self.train.gram, self.ridge).T)

    def _joint_ridge(self) -> float:
        trial = self.trial(np.arange(len(self.pool.features)))
        best = float(trial.score.max())
        self.error = (best * (1 - best) / len(self.y_val)) ** 0.5
        return RIDGES[trial.best]

    def counts(self, budget: int | None) -> list[int]:
        """The numbers of neurons to try, ascending, at most `budget` or all candidates.

        They are powers of 2, from 128 on also powers of 2^.5, and the limit itself.
        StcError if no candidate has any importance.
        """
        most = min(budget or len(self.rank), np.count_nonzero(self.rank))
        if not most:
            raise nothing_selected()
        steps = sorted({round(2 ** (i / 2)) for i in range(64)})
        smaller = [n for n in steps if n < most and (n >= 128 or n & (n - 1) == 0)]
        return [*smaller, int(most)]

    def trial(self, columns: Int[np.ndarray, " kept"]) -> "Trial":
        """The validation scores of these columns under each ridge."""
        gram = self.train.gram.restricted(columns)
        Z = self.Z_val[:, columns]
        accuracies, f1s = [], []
        for ridge in RIDGES:
            scores = Z @ solve_ridge(gram, ridge) + self.train.prior
            guess = scores.argmax(axis=1)
            accuracies.append(accuracy(self.y_val, guess))
            f1s.append(macro_f1(self.y_val, guess))
        deepest = int(self.pool.layers[columns].max())
        accuracies, f1s = np.array(accuracies), np.array(f1s)
        return Trial(
            len(columns), deepest, accuracies, f1s, f1s if self.weighted else accuracies
        )


class Trial(NamedTuple):
    """A subset of the candidates and its validation scores under each ridge."""

    neurons: int
    layer: int
    accuracy: Float[np.ndarray, " n_ridges"]
    macro_f1: Float[np.ndarray, " n_ridges"]
    # The score that decides: macro-F1 with class weights, else accuracy.
    score: Float[np.ndarray, " n_ridges"]

    @property
    def best(self) -> int:
        """The position of the ridge with the best score, smoothed over neighbours."""
        return last_best(smooth(self.score[None])[0])

    def point(self, curve: str, ridge: int | None = None) -> FrontierPoint:
        """The subset as a point of a curve, under the ridge at `ridge` or the best."""
        position = self.best if ridge is None else ridge
        scores = float(self.accuracy[position]), float(self.macro_f1[position])
        return FrontierPoint(curve, self.neurons, self.layer, RIDGES[position], *scores)


def choose_size(
    counts: Sequence[int], scores: Float[np.ndarray, "n_counts n_ridges"], error: float
) -> tuple[int, int]:
    """Positions of the chosen number of neurons and of its ridge.

    Each validation score is first averaged with its neighbours in the grid, since the
    best of many single cells owes much to chance on few rows. The choice is the fewest
    neurons within _SLACK standard errors of the best score, and for them the best
    ridge, the larger on a tie.
    """
    smoothed = smooth(smooth(scores).T).T
    best = smoothed.max(axis=1)
    least = best.max() - _SLACK * error - SAME_SCORE
    count = int(np.flatnonzero(best >= least)[0])
    return count, last_best(smoothed[count])
