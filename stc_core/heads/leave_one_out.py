"""Scores of each row by a ridge model that has not seen it, in closed form."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from stc_core.heads.least_squares import MOST_TINY, centred, solve_positive

_ALMOST_ONE = 1 - 1e-5


def leave_one_out(
    Z: Float[np.ndarray, "n d"],
    codes: Int[np.ndarray, " n"],
    *,
    n_class: int,
    sample_weight: Float[np.ndarray, " n"],
    ridges: Sequence[float],
) -> Float[np.ndarray, "n_ridges n n_class"]:
    """The class scores of each row of Z by the ridge model fitted on the other rows.

    Z is standardised. The model is that of `least_squares.solve_ridge`; its penalty,
    the mean of Z and the shares of the classes stay those of all rows. One
    factorisation for each ridge takes the place of n fits: with f the scores of the
    model of all rows and h_i the i-th diagonal element of its hat matrix, the score is
    y_i - (y_i - f_i) / (1 - h_i). Source: Allen 1974 (PRESS).
    """
    A, Y, total = centred(Z, codes, n_class=n_class, sample_weight=sample_weight)
    root = np.sqrt(sample_weight)[:, None]
    labels = np.eye(n_class, dtype=np.float32)[codes]
    mean_norm = float(np.einsum("ij,ij->", A, A, dtype=np.float64)) / total
    own = sample_weight / total  # the intercept's part of the hat matrix
    products = A @ A.T if len(A) <= A.shape[1] else A.T @ A
    scores = []
    for ridge in ridges:
        penalty = max(ridge * mean_norm, MOST_TINY)
        if len(A) <= A.shape[1]:
            inverse = solve_positive(products, penalty, np.eye(len(A), dtype=A.dtype))
            share = penalty * np.diag(inverse)
            residual = penalty * (inverse @ Y)
        else:
            inverse = solve_positive(
                products, penalty, np.eye(A.shape[1], dtype=A.dtype)
            )
            fitted = A @ inverse
            share = 1 - np.einsum("ij,ij->i", fitted, A)
            residual = Y - fitted @ (A.T @ Y)
        share = np.maximum(share - own, 1 - _ALMOST_ONE)
        scores.append(labels - residual / root / share[:, None])
    return np.stack(scores).astype(np.float32)
