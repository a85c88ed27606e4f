"""The scores by which choices are made: of a strength, a size, a depth or an epoch."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.metrics.scores import accuracy, macro_f1, pair_counts
from stc_core.types import CriterionName

Codes = Int[np.ndarray, " n"]
ClassScores = Float[np.ndarray, "n n_class"]


class Criterion(NamedTuple):
    """A score between 0 and 1 by which choices are made; higher is better.

    It is one of the answers, `of_answers(y, answers)`, or of all class scores,
    `of_scores(y, scores)` with a row for each text and a column for each class. `y` and
    the answers are class codes. `words` is what people call the score.
    """

    words: str
    of_answers: Callable[[Codes, Codes], float] | None = None
    of_scores: Callable[[Codes, ClassScores], float] | None = None

    def of(self, y: Codes, scores: ClassScores) -> float:
        """The score of these class scores; the highest one is the answer."""
        if self.of_answers is not None:
            return self.of_answers(y, scores.argmax(axis=1))
        assert self.of_scores is not None, self.words
        return self.of_scores(y, scores)


def balanced_accuracy(y: Codes, predicted: Codes) -> float:
    """The mean recall of the classes that occur in y."""
    cells = pair_counts(y, predicted)
    support = cells.sum(axis=1)
    return float(np.mean(cells.diagonal()[support > 0] / support[support > 0]))


def average_precision(y: Codes, scores: ClassScores) -> float:
    """The mean over classes of how well their scores order the rows.

    Each class that some rows have and others have not counts alike, by the average
    precision of its score less the best other one: the mean precision at its rows,
    where rows of one score come together (scikit-learn's `average_precision_score`).
    With two classes it is that of the rarer one, the second if both are as frequent. 1
    if only one class occurs, since no order can be wrong.
    """
    counts = np.bincount(y, minlength=scores.shape[1])
    asked = np.flatnonzero((counts > 0) & (counts < len(y)))
    if not len(asked):
        return 1.0
    if scores.shape[1] == 2:
        asked = np.array([0 if counts[0] < counts[1] else 1])
    leads = _leads(scores)[:, asked]
    order = np.argsort(-leads, axis=0, kind="stable")
    sorted_leads = np.take_along_axis(leads, order, axis=0)
    hit = y[order] == asked
    # Each row counts with the last one of the same score.
    last = np.arange(len(y))[:, None].repeat(len(asked), axis=1)
    last[:-1][sorted_leads[:-1] == sorted_leads[1:]] = len(y)
    last = np.minimum.accumulate(last[::-1], axis=0)[::-1]
    found = np.take_along_axis(hit.cumsum(axis=0), last, axis=0) / (last + 1)
    return float(np.mean((found * hit).sum(axis=0) / counts[asked]))


def _leads(scores: ClassScores) -> ClassScores:
    """By how much the score of each class is above the best of the others.

    A class that a model has not seen scores -inf, and of NaN nothing is known: both
    stand below all others.
    """
    known = np.nan_to_num(scores, nan=-np.inf, neginf=-np.inf, posinf=np.inf)
    top = np.sort(known, axis=1)[:, -2:]
    is_top = known == top[:, 1:]
    with np.errstate(invalid="ignore"):
        leads = known - np.where(is_top, top[:, :1], top[:, 1:])
    finite = leads[np.isfinite(leads)]
    least, most = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
    return np.nan_to_num(leads, nan=least - 1, neginf=least - 1, posinf=most + 1)


CRITERIA: dict[CriterionName, Criterion] = {
    "accuracy": Criterion("accuracy", accuracy),
    "macro_f1": Criterion("macro-F1", macro_f1),
    "balanced_accuracy": Criterion("balanced accuracy", balanced_accuracy),
    "average_precision": Criterion("average precision", of_scores=average_precision),
}
