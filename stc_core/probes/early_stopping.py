"""Ends a path of probes when stronger fits no longer do better on validation rows."""

import numpy as np
from jaxtyping import Float, Int

from stc_core.probes.problem import Path


class EarlyStopping:
    """The validation scores of the probes of a path, in the order of growing C.

    A path ends after `patience` probes in a row that improve neither the accuracy nor
    the mean log-probability of the true class.
    """

    def __init__(
        self,
        X_val: Float[np.ndarray, "n_val d_feat"],
        y_val: Int[np.ndarray, " n_val"],
        *,
        patience: int,
    ) -> None:
        self.X_val, self.y_val, self.patience = X_val, y_val, patience
        self._scores: list[tuple[float, float]] = []

    @property
    def accuracies(self) -> Float[np.ndarray, " n_scored"]:
        """The accuracy of each probe that has been scored."""
        return np.array(self._scores)[:, 0]

    def ends_with(self, path: Path, i: int) -> bool:
        """Score probe `i` of `path`; return whether the path ends with it."""
        self._scores.append(_validate(path.logits(self.X_val, i), self.y_val))
        best = int(np.argmax(self._scores, axis=0).max())
        return len(self._scores) - 1 - best >= self.patience

    def cut(self, path: Path) -> Path:
        """The part of a whole path up to its end, with its validation scores."""
        for i in range(len(path.Cs)):
            if self.ends_with(path, i):
                break
        kept = slice(len(self._scores))
        parts = {
            name: getattr(path, name)[kept]
            for name in path._fields
            if name not in ("mean", "sd")
        }
        return path._replace(**{**parts, "score": self.accuracies})


def _validate(logits: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Accuracy and mean log-probability; rare classes hardly change the accuracy."""
    is_right = logits.argmax(axis=1) == y
    Z = logits - logits.max(axis=1, keepdims=True)
    log_proba = Z[np.arange(len(y)), y] - np.log(np.exp(Z).sum(axis=1))
    return float(is_right.mean()), float(log_proba.mean())
