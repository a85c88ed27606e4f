"""Which neurons are kept: by the mass of their weights, then beside each other.

The joint step works on one Gram matrix of all candidates, so each set of columns,
penalty and prefix of layers costs one small linear solve and no pass over the data.
"""

from typing import NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)

MOST_TINY = float(np.finfo(np.float32).tiny)
ALIKE = 1e-4
"""Importances that differ by no more than this share are equal: solving for weights in
float32 lets rounding (6e-8), which another processor may do in another way, grow by the
condition number, some hundreds to a thousand. A list of thousands has few such ties."""
MOST_ALIKE = 5
SAME_SCORE = 1e-9
"""Scores on validation that differ by no more are equal: sums of the same shares."""


def importance(coef: Float[np.ndarray, "n_class d"]) -> Float[np.ndarray, " d"]:
    """sum_k w_kj^2 of each feature, for weights on the standardised scale.

    With raw weights w this is (sum_k w_kj^2) * sd_j^2 (SPIN's s_j, made free of
    scale and taken over all classes).
    """
    return (np.asarray(coef, np.float64) ** 2).sum(axis=0)


def keep_mass(score: Float[np.ndarray, " d"], eta: float) -> Int[np.ndarray, " kept"]:
    """Positions of the smallest set that holds a share `eta` of all importance.

    Descending importance, earlier first on a tie; features of no importance are
    never kept. Source: Sparsify-then-Classify, section 3 (eta there, too).
    """
    order = descending(score)
    mass = np.cumsum(score[order])
    if not len(mass) or mass[-1] <= 0:
        return order[:0]
    n = int(np.searchsorted(mass, eta * mass[-1] * (1 - 1e-12))) + 1
    return order[: min(n, np.count_nonzero(score > 0))]


def keep_top(score: Float[np.ndarray, " d"], budget: int) -> Int[np.ndarray, " kept"]:
    """Positions of at most `budget` features, by descending positive importance."""
    order = descending(score)[:budget]
    return order[score[order] > 0]


def descending(score: Float[np.ndarray, " d"]) -> Int[np.ndarray, " d"]:
    """Positions by falling importance; of those that are equal, the earlier first.

    Equal are those that follow each other with a step of ALIKE at most, while all are
    within MOST_ALIKE steps of the first. So the order of neurons that say the same
    does not hang on how a processor rounds.
    """
    order = np.argsort(-score, kind="stable")
    falling = score[order].astype(np.float64)
    lower = np.concatenate([[True], falling[1:] < falling[:-1] * (1 - ALIKE)])
    lower = lower[: len(order)]
    group = np.cumsum(lower) - 1
    first = falling[lower][group]
    below = 1 - np.divide(falling, first, out=np.ones_like(first), where=first > 0)
    part = np.floor(below / (MOST_ALIKE * ALIKE))
    return order[np.lexsort((order, part, group))]


class Gram(NamedTuple):
    """Second moments of n standardised rows Z and of their one-hot labels Y."""

    ZZ: Float[np.ndarray, "d d"]
    ZY: Float[np.ndarray, "d n_class"]
    n: float

    def restricted(self, columns: Int[np.ndarray, " kept"]) -> "Gram":
        """The Gram of some of the columns."""
        return Gram(self.ZZ[np.ix_(columns, columns)], self.ZY[columns], self.n)


def gram(
    Z: Float[np.ndarray, "n d"],
    codes: Int[np.ndarray, " n"],
    *,
    n_class: int,
    sample_weight: Float[np.ndarray, " n"],
    overwrite: bool = False,
) -> Gram:
    """The weighted moments, both centred, so that no intercept is needed.

    With `overwrite` Z is spoilt, and no copy of it is made.
    """
    total = float(sample_weight.sum())
    root = np.sqrt(sample_weight)[:, None]
    A = Z if overwrite else Z.copy()
    A -= (sample_weight @ Z / total).astype(np.float32)
    A *= root
    prior = np.bincount(codes, sample_weight, n_class) / total
    Y = (np.eye(n_class, dtype=np.float32)[codes] - prior.astype(np.float32)) * root
    return Gram(A.T @ A, A.T @ Y, total)


def solve_ridge(moments: Gram, ridge: float) -> Float[np.ndarray, "d n_class"]:
    """Least-squares weights of standardised features under a ridge penalty.

    The penalty is ridge * (mean squared norm of a row), so that the same ridge means
    as much for 10 features as for 10,000.
    """
    penalty = max(ridge * float(np.trace(moments.ZZ)) / moments.n, MOST_TINY)
    return solve_positive(moments.ZZ, penalty, moments.ZY)


def solve_positive(
    A: Float[np.ndarray, "n n"],
    penalty: float | Float[np.ndarray, " n"],
    B: Float[np.ndarray, "n k"],
) -> Float[np.ndarray, "n k"]:
    """(A + diag(penalty))^-1 B for a symmetric A without negative eigenvalues.

    By a Cholesky factor, which reads the lower triangle of A alone; where rounding
    makes that fail, again in double precision.
    """
    for dtype in (A.dtype, np.float64):
        copy = A.astype(dtype)
        np.einsum("ii->i", copy)[...] += penalty
        try:
            # The upper triangle of the transpose, in LAPACK's own order: no copy.
            factor = scipy.linalg.cho_factor(
                copy.T, overwrite_a=True, check_finite=False
            )
        except scipy.linalg.LinAlgError:
            continue
        return scipy.linalg.cho_solve(factor, B, check_finite=False).astype(B.dtype)
    raise AssertionError("a Gram matrix with a penalty has a Cholesky factor")


def smooth(grid: Float[np.ndarray, "a b"]) -> Float[np.ndarray, "a b"]:
    """Each cell averaged with those before and after it in its row."""
    wide = np.pad(grid, ((0, 0), (1, 1)), mode="edge")
    return (wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]) / 3


def first_best(scores: Float[np.ndarray, " b"]) -> int:
    """The position of the highest score, the first of equals, rounding apart."""
    return int(np.flatnonzero(scores >= scores.max() - SAME_SCORE)[0])


def last_best(scores: Float[np.ndarray, " b"]) -> int:
    """The position of the highest score, the last of equals, rounding apart."""
    return int(np.flatnonzero(scores >= scores.max() - SAME_SCORE)[-1])
