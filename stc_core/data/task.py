"""What is learned from whom: labels in codes, and the rows of each split."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.types import PooledSite

Read = Callable[[PooledSite], Float[np.ndarray, "n width"]]
_MOST_ROWS = 20_000
"""Training rows that the first head and the standard deviations are fitted on."""


class Task(NamedTuple):
    """The labels of all rows of a feature reader, and who learns from which."""

    codes: Int[np.ndarray, " n"]
    classes: tuple[str, ...]
    train: Int[np.ndarray, " n_train"]
    validation: Int[np.ndarray, " n_val"]
    class_weight: str | None = None

    @property
    def learned(self) -> Int[np.ndarray, " n_learned"]:
        """Rows that the final head is fitted on: train, then validation."""
        return np.concatenate([self.train, self.validation])

    def weights(self, rows: Int[np.ndarray, " some"]) -> Float[np.ndarray, " some"]:
        return row_weights(self.codes[rows], len(self.classes), self.class_weight)


def row_weights(
    codes: Int[np.ndarray, " n"], n_class: int, class_weight: str | None
) -> Float[np.ndarray, " n"]:
    """Ones, or for "balanced" n / (n_class * count of the row's class)."""
    if class_weight is None:
        return np.ones(len(codes), np.float32)
    counts = np.bincount(codes, minlength=n_class)
    present = np.count_nonzero(counts)
    return (len(codes) / (present * counts[codes])).astype(np.float32)


def some_rows(rows: Int[np.ndarray, " n"]) -> Int[np.ndarray, " some"]:
    """MOST_ROWS of them at most, spread evenly."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), _MOST_ROWS)).astype(int)]
