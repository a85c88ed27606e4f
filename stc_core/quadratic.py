"""The quadratic model inside a proximal Newton step, one Gram matrix a class.

Knows nothing of the loss: it is handed features, curvatures and gradients.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from stc_core.penalties import Penalty


class Metric(NamedTuple):
    """Curvature of the loss on each row's working set, intercept eliminated.

    `columns` (rows, m) are padded; `real` is false on the padding, where Gram and mean
    are zero.
    """

    columns: Int[np.ndarray, "rows m"]
    real: Bool[np.ndarray, "rows m"]
    gram: Float[np.ndarray, "rows m m"]
    mean: Float[np.ndarray, "rows m"]
    mass: Float[np.ndarray, " rows"]
    top: Float[np.ndarray, "rows 1"]


def build_metric(
    XT: Float[np.ndarray, "d_feat n"],
    curvature: Float[np.ndarray, "rows n"],
    *,
    columns: Int[np.ndarray, "rows m"],
    real: Bool[np.ndarray, "rows m"],
    n_examples: int,
) -> Metric:
    """sum_i D_ki (x_i - xbar_k)(x_i - xbar_k)' on each row's columns.

    Rows of more than `n_examples` examples are thinned to about that many, in
    proportion to their curvature and without bias: the metric is an approximation
    that a line search guards, never the answer.
    """
    rows, m = columns.shape
    gram = np.zeros((rows, m, m), XT.dtype)
    mean = np.zeros((rows, m), XT.dtype)
    mass = np.empty(rows, XT.dtype)
    shared = rows > 1 and bool((columns == columns[0]).all())
    block = XT[columns[0]] if shared else None
    for k in range(rows):
        n = int(real[k].sum())
        picked, weight = thin(curvature[k], n_examples)
        mass[k] = max(float(weight.sum()), np.finfo(XT.dtype).tiny)
        if n == 0:
            continue
        if block is not None:
            part = block[:n] if picked is None else block[:n, picked]
        elif picked is None:
            part = XT[columns[k, :n]]
        else:
            part = XT[columns[k, :n, None], picked]
        mean[k, :n] = part @ weight / mass[k]
        part = (part - mean[k, :n, None]) * np.sqrt(weight)
        gram[k, :n, :n] = part @ part.T
    return Metric(columns, real, gram, mean, mass, _largest_eigenvalue(gram))


def thin(
    curvature: Float[np.ndarray, " n"], n_examples: int
) -> tuple[Int[np.ndarray, " picked"] | None, Float[np.ndarray, " picked"]]:
    """Positions and weights of a systematic sample; None: all of them.

    Examples above the threshold are kept as they are, of the others each is kept with
    probability curvature / threshold and then weighs the threshold.
    """
    if len(curvature) <= n_examples:
        return None, curvature
    threshold = float(curvature.sum(dtype=np.float64)) / n_examples
    chance = np.minimum(curvature / max(threshold, 1e-30), 1).cumsum(dtype=np.float64)
    picked = np.flatnonzero(np.diff(np.floor(chance + 0.5), prepend=0.0))
    return picked, np.maximum(curvature[picked], threshold).astype(curvature.dtype)


def solve_quadratic(
    metric: Metric,
    W: Float[np.ndarray, "rows m"],
    G: Float[np.ndarray, "rows m"],
    lam: float,
    *,
    penalty: Penalty,
    tol: float,
    max_iter: int,
) -> Float[np.ndarray, "rows m"]:
    """argmin_U <G, U - W> + (U - W)' gram (U - W) / 2 + lam * penalty(U).

    Accelerated proximal gradient, restarted row by row; stops when no coordinate
    moves by more than tol in units of the gradient.
    """
    top = np.full_like(metric.top, metric.top.max()) if penalty.shared else metric.top
    step, shrink = 1 / top, lam / top
    q = G - np.matmul(metric.gram, W[..., None])[..., 0]
    U, V = W, W
    momentum = np.ones_like(top)
    for _ in range(max_iter):
        slope = np.matmul(metric.gram, V[..., None])[..., 0] + q
        new = penalty.prox(V - step * slope, shrink)
        move = new - U
        if float((np.abs(V - new) * top).max()) <= tol:
            return new
        uphill = ((V - new) * move).sum(axis=1, keepdims=True) > 0
        momentum[uphill] = 1
        after = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        V = new + (momentum - 1) / after * move
        U, momentum = new, after
    return U


def _largest_eigenvalue(gram: np.ndarray) -> np.ndarray:
    """A slight upper estimate by power iteration, (rows, 1), never zero."""
    longest = np.linalg.norm(gram, axis=2).argmax(axis=1)
    v = gram[np.arange(len(gram)), longest]
    size = np.ones((len(gram), 1), gram.dtype)
    for _ in range(15):
        v = v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-30)
        v = np.matmul(gram, v[..., None])[..., 0]
        size = np.linalg.norm(v, axis=1, keepdims=True)
    return np.maximum(1.1 * size, 1e-6).astype(gram.dtype)
