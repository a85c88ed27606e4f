"""Weighted multinomial log-loss of logits: value, gradient, curvature, dual.

Logits have one row per class, Z (rows, N). Two classes take one row: the logit of the
second class against the first, as in scikit-learn. K > 2 classes take K rows.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Target(NamedTuple):
    """Class codes (N) and weights (N) of the examples, and the number of classes."""

    codes: Int[np.ndarray, " n"]
    weight: Float[np.ndarray, " n"]
    n_class: int

    @property
    def rows(self) -> int:
        """The number of rows of logits for these classes."""
        return 1 if self.n_class == 2 else self.n_class

    def one_hot(self) -> Float[np.ndarray, "rows n"]:
        """1 where the example belongs to the row's class, else 0."""
        first_code = 1 if self.rows == 1 else 0
        row_codes = np.arange(first_code, self.n_class)[:, None]
        return (self.codes[None] == row_codes).astype(self.weight.dtype)


class Slope(NamedTuple):
    """Probabilities, loss, and the weighted residual w * (P - Y)."""

    proba: Float[np.ndarray, "rows n"]
    loss: float
    residual: Float[np.ndarray, "rows n"]


def null_intercept(target: Target) -> Float[np.ndarray, " rows"]:
    """The best intercepts when all coefficients are zero: log class shares."""
    logs = np.log(_shares(target))
    # Balanced weights make all shares equal, up to the rounding of the weights.
    if np.ptp(logs) < 16 * np.finfo(target.weight.dtype).eps:
        logs = np.zeros_like(logs)
    return logs[1:] - logs[0] if target.rows == 1 else logs - logs.mean()


def null_loss(target: Target) -> float:
    """The loss of `null_intercept` without coefficients: the class shares' entropy."""
    shares = _shares(target)
    total = target.weight.sum(dtype=np.float64)
    return -float(total * (shares * np.log(shares)).sum())


def _shares(target: Target) -> Float[np.ndarray, " n_class"]:
    mass = np.bincount(target.codes, target.weight, target.n_class)
    return mass / mass.sum()


def slope(Z: Float[np.ndarray, "rows n"], target: Target) -> Slope:
    """Probabilities, sum_i w_i * log-loss_i (float64) and its gradient in Z."""
    codes, weight, _ = target
    if target.rows == 1:
        proba = _sigmoid(Z)
        true_logit = np.where(codes == 1, Z[0], -Z[0])
        loss = np.dot(np.logaddexp(0, -true_logit), weight.astype(np.float64))
        return Slope(proba, float(loss), (proba - target.one_hot()) * weight)
    examples = np.arange(Z.shape[1])
    top = Z.max(axis=0)
    true_logit = Z[codes, examples] - top
    proba = np.exp(Z - top)
    total = proba.sum(axis=0)
    proba /= total
    loss = np.dot(np.log(total) - true_logit, weight.astype(np.float64))
    residual = proba * weight
    residual[codes, examples] -= weight
    return Slope(proba, float(loss), residual)


def loss_of(Z: Float[np.ndarray, "rows n"], target: Target) -> float:
    """The loss alone, as in `slope`."""
    codes, weight, _ = target
    if target.rows == 1:
        true_logit = np.where(codes == 1, Z[0], -Z[0])
        return float(np.dot(np.logaddexp(0, -true_logit), weight.astype(np.float64)))
    top = Z.max(axis=0)
    true_logit = Z[codes, np.arange(Z.shape[1])] - top
    total = np.exp(Z - top).sum(axis=0)
    return float(np.dot(np.log(total) - true_logit, weight.astype(np.float64)))


def dual_value(
    proba: Float[np.ndarray, "rows n"], target: Target, scale: float
) -> float:
    """Weighted entropy of (1 - scale) * Y + scale * P, a lower bound of the optimum.

    The bound holds if scale * gradient is in the penalty's dual ball and the gradient
    of the intercepts is zero (Fenchel duality of the log-loss).
    """
    mixed = scale * proba + (1 - scale) * target.one_hot()
    entropy = _minus_plogp(mixed).sum(axis=0, dtype=np.float64)
    if target.rows == 1:
        entropy += _minus_plogp(1 - mixed[0])
    return float(entropy @ target.weight.astype(np.float64))


def _sigmoid(Z: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(Z))
    return np.where(Z >= 0, 1, small) / (1 + small)


def _minus_plogp(p: np.ndarray) -> np.ndarray:
    return -p * np.log(np.maximum(p, np.finfo(p.dtype).tiny))
