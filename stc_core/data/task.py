"""What is learned from which rows: labels as codes, and the rows of each split."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.data.goal import Goal, class_weights
from stc_core.types import PooledSite

Read = Callable[[PooledSite], Float[np.ndarray, "n width"]]
"""Reads the features of a pooled site, a row for each text."""
_MOST_ROWS = 20_000
"""The most training rows on which the first head and the standard deviations are
fitted."""


class Task(NamedTuple):
    """The labels of all rows of a feature reader; the rows of train and validation."""

    codes: Int[np.ndarray, " n"]
    classes: tuple[str, ...]
    train: Int[np.ndarray, " n_train"]
    validation: Int[np.ndarray, " n_val"]
    goal: Goal = Goal()

    @property
    def learned(self) -> Int[np.ndarray, " n_learned"]:
        """The rows on which the final head is fitted: train, then validation."""
        return np.concatenate([self.train, self.validation])

    @property
    def groups(self) -> tuple[Int[np.ndarray, " _"], ...]:
        """The rows that a backbone reads apart: learned rows, then all others.

        The last bits of a text's activations depend on the texts of its batch. So rows
        from which nothing is learned are in no batch of learned rows: they cannot
        change what is learned. A group without rows is left out.
        """
        is_learned = np.zeros(len(self.codes), bool)
        is_learned[self.learned] = True
        groups = np.flatnonzero(is_learned), np.flatnonzero(~is_learned)
        return tuple(rows for rows in groups if len(rows))

    def weights(self, rows: Int[np.ndarray, " some"]) -> Float[np.ndarray, " some"]:
        """The weight of each of these rows, 1 on average."""
        codes = self.codes[rows]
        return self.class_weights(rows)[codes]

    def class_weights(
        self, rows: Int[np.ndarray, " some"]
    ) -> Float[np.ndarray, " n_class"]:
        """The weight of each class in a fit on these rows: see `Goal`."""
        how = self.goal.class_weight
        return class_weights(self.codes[rows], len(self.classes), how)

    def score(
        self,
        rows: Int[np.ndarray, " some"],
        scores: Float[np.ndarray, "some n_class"],
    ) -> float:
        """How well these class scores of `rows` meet the goal; higher is better."""
        return self.goal.score.of(self.codes[rows], scores)


def some_rows(rows: Int[np.ndarray, " n"]) -> Int[np.ndarray, " some"]:
    """At most _MOST_ROWS of the rows, evenly spaced."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), _MOST_ROWS)).astype(int)]
