"""What a classifier is fitted for: the score that chooses, and how classes weigh."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.metrics.criteria import CRITERIA, Criterion
from stc_core.types import ClassWeight, CriterionName

IMBALANCED = 2
"""Classes are unequal if the largest has more than so many times the rows of the
smallest, allowing for chance: see `is_imbalanced`."""


class Goal(NamedTuple):
    """The score by which everything is chosen, and the weight of the classes.

    `class_weight`: how the weight of a row depends on the number of rows of its class,
    n_k. `none`: not at all; `balanced`: as 1 / n_k, so that all classes weigh the same;
    `tempered`: as 1 / sqrt(n_k), half way between the two.
    """

    criterion: CriterionName = "accuracy"
    class_weight: ClassWeight = "none"

    @property
    def score(self) -> Criterion:
        """The score that chooses."""
        return CRITERIA[self.criterion]


ACCURATE = Goal()
_POWER: dict[ClassWeight, float] = {"none": 0.0, "tempered": 0.5, "balanced": 1.0}


def class_weights(
    codes: Int[np.ndarray, " n"], n_class: int, how: ClassWeight
) -> Float[np.ndarray, " n_class"]:
    """The weight of each class; over these rows the mean weight is 1.

    A class without rows has the weight that one row would give it.
    """
    counts = np.bincount(codes, minlength=n_class)
    weight = np.maximum(counts, 1.0) ** -_POWER[how]
    return (weight * counts.sum() / max(weight @ counts, 1e-300)).astype(np.float32)


def is_imbalanced(counts: Int[np.ndarray, " n_class"]) -> bool:
    """Whether one class is far rarer than another.

    The largest class must have more than IMBALANCED times the rows that the smallest
    could have had by chance: its own and some standard deviations of a count, more of
    them the more classes there are (1 + sqrt(2 ln k), as the lowest of k counts lies
    about sqrt(2 ln k) below their mean). So 150 equal classes with two rows each on
    average are not called imbalanced.
    """
    present = counts[counts > 0]
    if len(present) < 2:
        return False
    smallest = float(present.min())
    deviations = 1 + (2 * np.log(len(present))) ** 0.5
    return bool(present.max() > IMBALANCED * (smallest + deviations * smallest**0.5))


def goal_in_words(goal: Goal, *, is_set: bool) -> str:
    """A sentence on what chooses, and on the weights of the classes.

    `is_set`: whether the user named the criterion. The sentence is empty if accuracy
    chooses and all rows weigh alike because nothing else was asked for.
    """
    if goal == ACCURATE:
        return ""
    why = "" if is_set else "One class is much rarer than another, so "
    weights = {
        "none": "All rows weigh the same.",
        "tempered": "A row of a rare class weighs more: by one over the square root of "
        "its number of rows.",
        "balanced": "All classes weigh the same.",
    }
    said = f"{why}{goal.score.words} chooses. {weights[goal.class_weight]}"
    return said[0].upper() + said[1:]


def choose_goal(
    codes: Int[np.ndarray, " n"],
    n_class: int,
    *,
    criterion: Literal["auto", CriterionName] = "auto",
    class_weight: Literal["auto", ClassWeight] = "auto",
) -> Goal:
    """The goal for these learned rows; `auto` leaves a choice to them.

    With imbalanced classes it is macro-F1 with tempered weights, otherwise accuracy
    with equal weights. A weight that is given asks for macro-F1, too, and a criterion
    other than accuracy for tempered weights.
    """
    if criterion == "auto":
        weighs = class_weight not in ("auto", "none")
        rare = is_imbalanced(np.bincount(codes, minlength=n_class))
        criterion = "macro_f1" if weighs or rare else "accuracy"
    if class_weight == "auto":
        class_weight = "none" if criterion == "accuracy" else "tempered"
    return Goal(criterion, class_weight)
