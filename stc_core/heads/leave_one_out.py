"""Scores of each row by a ridge model that has not seen it, in closed form."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import get_lapack_funcs

from stc_core.heads.least_squares import MOST_TINY, factor_positive

_LEAST = 1e-5
"""Of one minus the hat matrix, which rounding may bring below zero."""


def leave_one_out(
    products: Float[np.ndarray, "n n"],
    codes: Int[np.ndarray, " n"],
    *,
    n_class: int,
    sample_weight: Float[np.ndarray, " n"],
    ridges: Sequence[float],
) -> Float[np.ndarray, "n_ridges n n_class"]:
    """The class scores of each row by the ridge model fitted on the other rows.

    `products` are the inner products of the standardised rows, less their mean and
    times the roots of their weights; only the lower triangle is read. The model is that
    of `least_squares.solve_ridge`; its penalty, the mean of the rows and the shares of
    the classes stay those of all rows. One factorisation for each ridge takes the place
    of n fits: with f the scores of the model of all rows and h_i the i-th diagonal
    element of its hat matrix, the score is y_i - (y_i - f_i) / (1 - h_i). Source: Allen
    1974 (PRESS).
    """
    labels = np.eye(n_class, dtype=np.float32)[codes]
    prior = sample_weight @ labels / sample_weight.sum()
    Y = (labels - prior) * np.sqrt(sample_weight)[:, None]
    mean_norm = float(np.trace(products)) / float(sample_weight.sum())
    scores = []
    for ridge in ridges:
        penalty = max(ridge * mean_norm, MOST_TINY)
        root = _inverse_factor(factor_positive(products, penalty))
        share = penalty * np.einsum("ij,ij->i", root, root)
        residual = penalty * (root @ (root.T @ Y))
        scores.append(labels - _without(residual, share, sample_weight))
    return np.stack(scores)


def _inverse_factor(factor: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """The inverse U^-1 of an upper triangular factor, which is overwritten.

    The inverse of U^T U is U^-1 U^-T, so its diagonal needs no more than this: a sixth
    of the work of solving for every column of the unit matrix.
    """
    (trtri,) = get_lapack_funcs(("trtri",), (factor,))
    inverse, failed = trtri(factor, lower=0, overwrite_c=1)
    assert failed == 0, failed
    return np.triu(inverse)


def _without(
    residual: Float[np.ndarray, "n n_class"],
    share: Float[np.ndarray, " n"],
    sample_weight: Float[np.ndarray, " n"],
) -> Float[np.ndarray, "n n_class"]:
    """The residuals of each row by the model without it.

    `residual` is that of the weighted model of all rows, `share` is one minus the
    diagonal of its hat matrix. The intercept takes its own part of that.
    """
    own = sample_weight / sample_weight.sum()
    left = np.maximum(share - own, _LEAST)[:, None]
    found = residual / np.sqrt(sample_weight)[:, None] / left
    return found.astype(np.float32)
