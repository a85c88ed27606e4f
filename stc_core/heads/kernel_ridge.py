"""Ridge regression of any number of features at once, read block by block.

With more features than rows it works on the inner products of the rows. Its memory then
grows with the square of the rows, not with the features.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import get_blas_funcs

from stc_core.data.task import Task
from stc_core.heads.head import mean_and_sd, value_range
from stc_core.heads.least_squares import (
    MOST_TINY,
    gram,
    importance,
    solve_positive,
    solve_ridge,
)
from stc_core.heads.leave_one_out import leave_one_out


class Block(NamedTuple):
    """`width` features of all rows, multiplied by `trust` once they are standardised.

    That is the same as a penalty on their weights that is divided by trust^2.
    """

    read: Callable[[], Float[np.ndarray, "n width"]]
    width: int
    trust: float = 1.0


class JointRidge(NamedTuple):
    """The results of ridge models of all blocks together, one model for each penalty.

    `scores` are the class scores that each model gives the rows it was not fitted on.
    `importance` has one value for each feature, block after block. It is computed from
    the weights on the features as the model reads them: standardised, and multiplied by
    the trust of their block.
    """

    scores: Float[np.ndarray, "n_ridges m n_class"]
    importance: Float[np.ndarray, "n_ridges d_all"]


def joint_ridge(
    blocks: Sequence[Block],
    task: Task,
    rows: Int[np.ndarray, " n"],
    *,
    others: Int[np.ndarray, " m"],
    ridges: Sequence[float],
) -> JointRidge:
    """Fit ridge models of the one-hot labels on `rows`, and apply them to `others`.

    The features are standardised by their mean and sd on `rows`. Values of `others`
    outside the range of `rows` count as its nearer end. The results are those of
    `least_squares.solve_ridge` for the same features. The system has as many equations
    as there are rows or features, whichever are fewer.
    """
    if sum(block.width for block in blocks) < len(rows):
        return _primal(blocks, task, rows, others=others, ridges=ridges)
    return _dual(blocks, task, rows, others=others, ridges=ridges)


def joint_leave_one_out(
    blocks: Sequence[Block],
    task: Task,
    rows: Int[np.ndarray, " n"],
    *,
    ridges: Sequence[float],
) -> Float[np.ndarray, "n_ridges n n_class"]:
    """The class scores of each of `rows` by the joint models of the other rows.

    It is `leave_one_out` on the columns of all blocks together.
    """
    weight = task.weights(rows)
    products = np.zeros((len(rows), len(rows)), np.float32)
    for block in blocks:
        X = block.read()[rows]
        mean, sd = mean_and_sd(X, weight)
        add_products(products, (X - mean) * (block.trust / sd))
    root = np.sqrt(weight)
    return leave_one_out(
        products * root * root[:, None],
        task.codes[rows],
        n_class=len(task.classes),
        sample_weight=weight,
        ridges=ridges,
    )


def add_products(G: Float[np.ndarray, "n n"], Z: Float[np.ndarray, "n width"]) -> None:
    """Add the inner products of the rows of Z to G, in its lower triangle only.

    Both are float32 in C order, so nothing is copied and nothing is computed twice.
    """
    assert G.dtype == Z.dtype, (G.dtype, Z.dtype)  # else syrk would fill a copy of G
    (syrk,) = get_blas_funcs(("syrk",), (G, Z))
    syrk(1.0, Z.T, beta=1.0, c=G.T, trans=1, overwrite_c=1)


def _rows_of(
    X: Float[np.ndarray, "n_all width"],
    rows: Int[np.ndarray, " n"],
    others: Int[np.ndarray, " m"],
) -> tuple[Float[np.ndarray, "n width"], Float[np.ndarray, "m width"]]:
    """The rows to fit on, and the others within the range of these, as a head has
    them."""
    fitted = X[rows]
    return fitted, np.clip(X[others], *value_range(fitted))


def _primal(
    blocks: Sequence[Block],
    task: Task,
    rows: Int[np.ndarray, " n"],
    *,
    others: Int[np.ndarray, " m"],
    ridges: Sequence[float],
) -> JointRidge:
    """The models from the Gram matrix of the features."""
    weight, parts = task.weights(rows), []
    for block in blocks:
        X = block.read()
        fitted, rest = _rows_of(X, rows, others)
        mean, sd = mean_and_sd(fitted, weight)
        used = np.concatenate([fitted, rest])
        parts.append((used - mean) * (block.trust / sd))
    Z, Z_other = np.split(np.concatenate(parts, axis=1), [len(rows)])
    codes, n_class = task.codes[rows], len(task.classes)
    moments = gram(Z, codes, n_class=n_class, sample_weight=weight)
    prior = np.bincount(codes, weight, n_class) / weight.sum()
    W = np.stack([solve_ridge(moments, ridge) for ridge in ridges])
    scores = Z_other @ W + prior.astype(np.float32)
    return JointRidge(scores, np.stack([importance(coef.T) for coef in W]))


def _dual(
    blocks: Sequence[Block],
    task: Task,
    rows: Int[np.ndarray, " n"],
    *,
    others: Int[np.ndarray, " m"],
    ridges: Sequence[float],
) -> JointRidge:
    """The models from the inner products of the rows."""
    weight = task.weights(rows)
    Y = np.eye(len(task.classes), dtype=np.float32)[task.codes[rows]]
    scales, G = [], np.zeros((len(rows), len(rows)), np.float32)
    for block in blocks:
        X = block.read()[rows]
        mean, sd = mean_and_sd(X, weight)
        Z = (X - mean) * (block.trust / sd)
        add_products(G, Z)
        scales.append((mean, sd / block.trust))
    prior = (weight @ Y / weight.sum()).astype(np.float32)
    # One factor for each ridge: an eigendecomposition takes as long as 25 factors.
    mean_norm = float(weight @ np.diag(G)) / weight.sum()
    penalties = [max(ridge * mean_norm, MOST_TINY) / weight for ridge in ridges]
    parts = [solve_positive(G, penalty, Y - prior) for penalty in penalties]
    dual = np.concatenate(parts, axis=1).astype(np.float32)
    del G, parts
    scores = np.zeros((len(others), dual.shape[1]), np.float32)
    importances = []
    for block, (mean, sd) in zip(blocks, scales, strict=True):
        X = block.read()
        fitted, rest = _rows_of(X, rows, others)
        W = ((fitted - mean) / sd).T @ dual
        scores += ((rest - mean) / sd) @ W
        by_ridge = W.T.reshape(len(ridges), -1, W.shape[0])
        importances.append([importance(coef) for coef in by_ridge])
    by_ridge = scores.reshape(len(others), len(ridges), -1).swapaxes(0, 1)
    return JointRidge(by_ridge + prior, np.concatenate(importances, axis=1))
