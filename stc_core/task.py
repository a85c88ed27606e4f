"""What is learned from whom: labels in codes, and the rows of each split."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.axes import PooledSite
from stc_core.head import row_weights

Read = Callable[[PooledSite], Float[np.ndarray, "n width"]]


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
