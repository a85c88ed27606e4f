"""Scores of many numbers of neurons, by rows that chose none of them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.heads.head import mean_and_sd, value_range
from stc_core.heads.least_squares import RIDGES
from stc_core.heads.nested_ridge import nested_scores
from stc_core.heads.parallel import in_threads
from stc_core.metrics.scores import SAME_SCORE, accuracy, last_best, macro_f1
from stc_core.selection.folds import Fold
from stc_core.selection.frontier import FrontierPoint, Option
from stc_core.selection.importance import smooth
from stc_core.selection.ranking import JointColumns, Ranking

_SLACK = 0.1


class Trial(NamedTuple):
    """A number of neurons and its scores under each ridge."""

    neurons: int
    layer: int
    ridges: Sequence[float]
    accuracy: Float[np.ndarray, " n_ridges"]
    macro_f1: Float[np.ndarray, " n_ridges"]
    score: Float[np.ndarray, " n_ridges"]

    @property
    def best(self) -> int:
        """The position of the ridge with the best score, smoothed over neighbours."""
        return last_best(smooth(self.score[None])[0])

    def point(self, curve: str, position: int | None = None) -> FrontierPoint:
        """A point of a curve, under the ridge at `position` or the best one."""
        position = self.best if position is None else position
        kinds = self.accuracy, self.macro_f1, self.score
        ridge, scores = self.ridges[position], [float(kind[position]) for kind in kinds]
        return FrontierPoint(curve, self.neurons, self.layer, ridge, *scores)


class DepthSearch:
    """The classifiers of one depth: the first neurons of its ranking, so many or more.

    A number of neurons is scored by the held rows of all folds together. Each fold has
    its own neurons, those that rank highest without its held rows; so a score is that
    of the whole way from the features to the answers.
    """

    def __init__(self, columns: JointColumns, ranking: Ranking) -> None:
        self.columns, self.task = columns, columns.task
        self.rank = ranking.final
        self.by_fold = ranking.by_fold
        used = np.unique(np.concatenate([*ranking.by_fold, ranking.final]))
        self._used, self._X = used, columns.values(used)
        self.held = np.concatenate([fold.held for fold in columns.folds])

    def sizes(self, limit: int | None) -> list[int]:
        """The numbers of neurons to try, ascending, at most `limit` or all that rank.

        They are powers of 2, from 128 on also powers of 2^.5, and the limit itself.
        """
        most = min(limit or len(self.rank), len(self.rank))
        steps = sorted({round(2 ** (i / 2)) for i in range(64)})
        smaller = [n for n in steps if n < most and (n >= 128 or n & (n - 1) == 0)]
        return [*smaller, most]

    def raw(self, order: Int[np.ndarray, " k"]) -> Float[np.ndarray, "n k"]:
        """The raw values of these columns on all rows."""
        return self._X[:, np.searchsorted(self._used, order)]

    def trials(
        self, sizes: Sequence[int], ridges: Sequence[float] = RIDGES
    ) -> list[Trial]:
        """The scores of each number of neurons, which ascend, under each ridge."""
        y, goal = self.task.codes[self.held], self.task.goal
        shape = len(sizes), len(ridges), len(y)
        guesses, whole = np.empty(shape, np.int64), None
        if goal.score.of_answers is None:
            whole = np.empty((*shape, len(self.task.classes)), np.float32)
        ends = np.cumsum([len(fold.held) for fold in self.columns.folds])

        def judge(number_of_fold: int) -> None:
            fold = self.columns.folds[number_of_fold]
            rows = slice(ends[number_of_fold] - len(fold.held), ends[number_of_fold])
            scores = self._scores(number_of_fold, fold, sizes, ridges)
            for number, of_size in enumerate(scores):
                guesses[number, :, rows] = of_size.argmax(axis=2)
                if whole is not None:
                    whole[number, :, rows] = of_size

        in_threads(judge, range(len(ends)))
        found = []
        for number, size in enumerate(sizes):
            right = np.array([accuracy(y, guess) for guess in guesses[number]])
            f1s = np.array([macro_f1(y, guess) for guess in guesses[number]])
            if (of_answers := goal.score.of_answers) is not None:
                score = np.array([of_answers(y, guess) for guess in guesses[number]])
            else:
                assert whole is not None
                score = np.array([goal.score.of(y, scores) for scores in whole[number]])
            found.append(Trial(size, self.layer_of(size), ridges, right, f1s, score))
        return found

    def guesses(
        self, sizes: Sequence[int], ridges: Sequence[float], rows: Int[np.ndarray, " k"]
    ) -> list[Int[np.ndarray, " k"]]:
        """The classes of `rows` by the model of all learned rows, for each size."""
        if not len(rows):
            return [np.zeros(0, int) for _ in sizes]
        kinds = sorted(set(ridges))
        scores = self._scores(-1, Fold(self.task.learned, rows), sizes, kinds)
        return [
            of_size[kinds.index(ridge)].argmax(axis=1)
            for ridge, of_size in zip(ridges, scores, strict=True)
        ]

    def layer_of(self, size: int) -> int:
        """The highest layer that so many neurons read."""
        return int(self.columns.layer[self.rank[:size]].max())

    def _scores(
        self,
        number: int,
        fold: Fold,
        sizes: Sequence[int],
        ridges: Sequence[float],
    ) -> Iterator[Float[np.ndarray, "n_ridges m n_class"]]:
        """Scores of the held rows by ridge heads on the first neurons of a ranking.

        It is that of the fold with this number; -1 is the final one. The heads are
        those of `fit_ridge_head`. Where fewer neurons rank than a size asks for, all of
        them are taken; where none does, the scores are the shares of the classes.
        """
        fit, others, n_class = fold.fit, fold.held, len(self.task.classes)
        order = (*self.by_fold, self.rank)[number][: sizes[-1]]
        if not len(order):
            weight = self.task.weights(fit)
            prior = np.bincount(self.task.codes[fit], weight, n_class) / weight.sum()
            for _ in sizes:
                yield np.tile(prior.astype(np.float32), (len(ridges), len(others), 1))
            return
        places = np.searchsorted(self._used, order)
        Z, rest = self._X[np.ix_(fit, places)], self._X[np.ix_(others, places)]
        weight = self.task.weights(fit)
        mean, sd = mean_and_sd(Z, weight)
        np.clip(rest, *value_range(Z), out=rest)
        scale = self.columns.trust_of(order, number) / sd
        Z -= mean
        Z *= scale
        rest -= mean
        rest *= scale
        yield from nested_scores(
            Z,
            rest,
            self.task.codes[fit],
            n_class=n_class,
            sample_weight=weight,
            sizes=[min(size, len(order)) for size in sizes],
            ridges=ridges,
        )


def choose_size(
    counts: Sequence[int], scores: Float[np.ndarray, "n_counts n_ridges"], error: float
) -> tuple[int, int]:
    """Positions of the chosen number of neurons and of its ridge.

    Each score is first averaged with its neighbours in the grid, since the best of many
    single cells owes much to chance on few rows. The choice is the fewest neurons
    within _SLACK standard errors of the best score, and for them the best ridge, the
    larger on a tie.
    """
    smoothed = smooth(smooth(scores).T).T
    best = smoothed.max(axis=1)
    least = best.max() - _SLACK * error - SAME_SCORE
    count = int(np.flatnonzero(best >= least)[0])
    return count, last_best(smoothed[count])


def options_at(
    search: DepthSearch,
    points: Sequence[FrontierPoint],
    *,
    layer: int,
    reported: Int[np.ndarray, " n_reported"],
) -> list[Option]:
    """One option for each point of the search, with its guesses for `reported` rows.

    The guesses are those of the head that the user gets when the option is taken.
    """
    sizes = [point.neurons for point in points]
    guesses = search.guesses(sizes, [point.ridge for point in points], reported)
    return [
        Option(
            layer,
            point.layer,
            point.neurons,
            point.ridge,
            point.accuracy,
            point.macro_f1,
            point.score,
            guess,
        )
        for point, guess in zip(points, guesses, strict=True)
    ]
