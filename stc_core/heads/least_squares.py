"""Penalised least squares from the Gram matrix of the columns."""

from typing import NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
SHARPNESS = 10.0
"""Least-squares scores lie near 0 and 1; this factor brings the temperature near 1."""
MOST_TINY = float(np.finfo(np.float32).tiny)


def near_ridges(ridge: float) -> tuple[float, ...]:
    """A ridge of RIDGES and its neighbours: enough for a model much like another."""
    place = RIDGES.index(ridge)
    return RIDGES[max(place - 1, 0) : place + 2]


def importance(coef: Float[np.ndarray, "n_class d"]) -> Float[np.ndarray, " d"]:
    """sum_k w_kj^2 of each feature, for weights on the standardised scale.

    For raw weights w it would be (sum_k w_kj^2) * sd_j^2: SPIN's s_j, independent of
    the feature's scale and summed over all classes.
    """
    return (np.asarray(coef, np.float64) ** 2).sum(axis=0)


class Gram(NamedTuple):
    """Second moments of n standardised rows Z and of their one-hot labels Y."""

    ZZ: Float[np.ndarray, "d d"]
    ZY: Float[np.ndarray, "d n_class"]
    n: float

    def restricted(self, columns: Int[np.ndarray, " kept"]) -> "Gram":
        """The Gram matrix of some of the columns."""
        return Gram(self.ZZ[np.ix_(columns, columns)], self.ZY[columns], self.n)


def gram(
    Z: Float[np.ndarray, "n d"],
    codes: Int[np.ndarray, " n"],
    *,
    n_class: int,
    sample_weight: Float[np.ndarray, " n"],
    overwrite: bool = False,
) -> Gram:
    """The weighted second moments of Z and of the labels, both centred.

    Centred moments need no intercept. With `overwrite` Z is overwritten and not copied.
    """
    A, Y, total = centred(
        Z, codes, n_class=n_class, sample_weight=sample_weight, overwrite=overwrite
    )
    return Gram(A.T @ A, A.T @ Y, total)


def centred(
    Z: Float[np.ndarray, "n d"],
    codes: Int[np.ndarray, " n"],
    *,
    n_class: int,
    sample_weight: Float[np.ndarray, " n"],
    overwrite: bool = False,
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n n_class"], float]:
    """Z and the one-hot labels, both centred and times the root of the row's weight.

    Third comes the sum of the weights. Ordinary least squares on these rows is weighted
    least squares on the rows as they were. With `overwrite` Z is overwritten.
    """
    total = float(sample_weight.sum())
    root = np.sqrt(sample_weight)[:, None]
    A = Z if overwrite else Z.copy()
    A -= (sample_weight @ Z / total).astype(np.float32)
    A *= root
    prior = np.bincount(codes, sample_weight, n_class) / total
    Y = (np.eye(n_class, dtype=np.float32)[codes] - prior.astype(np.float32)) * root
    return A, Y, total


def solve_ridge(moments: Gram, ridge: float) -> Float[np.ndarray, "d n_class"]:
    """Least-squares weights of standardised features under a ridge penalty.

    The penalty is ridge * (mean squared norm of a row), so that the same ridge has the
    same effect for 10 features as for 10,000.
    """
    penalty = max(ridge * float(np.trace(moments.ZZ)) / moments.n, MOST_TINY)
    return solve_positive(moments.ZZ, penalty, moments.ZY)


def ridge_weights(
    Z: Float[np.ndarray, "n d"],
    codes: Int[np.ndarray, " n"],
    *,
    n_class: int,
    sample_weight: Float[np.ndarray, " n"],
    ridge: float,
) -> Float[np.ndarray, "d n_class"]:
    """The weights of `solve_ridge` for the rows Z, which are overwritten.

    The system has as many equations as there are rows or columns, whichever are fewer.
    """
    A, Y, total = centred(
        Z, codes, n_class=n_class, sample_weight=sample_weight, overwrite=True
    )
    norms = float(np.einsum("ij,ij->", A, A, dtype=np.float64))
    penalty = max(ridge * norms / total, MOST_TINY)
    if len(A) < A.shape[1]:
        return A.T @ solve_positive(A @ A.T, penalty, Y)
    return solve_positive(A.T @ A, penalty, A.T @ Y)


def solve_positive(
    A: Float[np.ndarray, "n n"],
    penalty: float | Float[np.ndarray, " n"],
    B: Float[np.ndarray, "n k"],
) -> Float[np.ndarray, "n k"]:
    """(A + diag(penalty))^-1 B for a symmetric A without negative eigenvalues."""
    factor = factor_positive(A, penalty), False
    return scipy.linalg.cho_solve(factor, B, check_finite=False).astype(B.dtype)


def factor_positive(
    A: Float[np.ndarray, "n n"], penalty: float | Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n n"]:
    """The Cholesky factor U, with U^T U = A + diag(penalty), in its upper triangle.

    What stands below the diagonal has no meaning. Of A only the lower triangle is read.
    If rounding makes the factorisation fail, it is repeated in double precision.
    """
    for dtype in (A.dtype, np.float64):
        copy = A.astype(dtype)
        np.einsum("ii->i", copy)[...] += penalty
        try:
            # The transpose is in LAPACK's order, so its upper triangle needs no copy.
            return scipy.linalg.cho_factor(
                copy.T, overwrite_a=True, check_finite=False
            )[0]
        except scipy.linalg.LinAlgError:
            continue
    raise AssertionError("a Gram matrix with a penalty has a Cholesky factor")
