"""The quadratic model inside a proximal Newton step: its Gram matrices, its minimum.

It knows only the probabilities of the loss: diag(p) - p p' is the curvature of one
example's log-loss in its logits. Intercepts are eliminated.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from stc_core.probes.penalties import L1, Penalty

SPRINT = 50  # at least so many gradient steps between two exact solves on the support
_FEWEST = 1000  # a Gram matrix is never thinned to fewer examples


class WorkingSet(NamedTuple):
    """Coefficients that may move: `columns` of each row; padding is not `real`."""

    rows: Int[np.ndarray, " rows"]
    columns: Int[np.ndarray, "rows m"]
    real: Bool[np.ndarray, "rows m"]


class QuadraticModel(NamedTuple):
    """Curvature on a working set, each row separately or all rows coupled.

    Separate rows: `gram` (rows, m, m) and `lift` (rows, m). Coupled: (rows * m, rows *
    m) and (rows * m, rows). Gram and lift are zero on the padding. `top` bounds the
    largest eigenvalues.
    """

    at: WorkingSet
    gram: Float[np.ndarray, "..."]
    lift: Float[np.ndarray, "..."]
    top: Float[np.ndarray, "rows 1"]

    @property
    def coupled(self) -> bool:
        """Whether all rows are modelled together."""
        return self.gram.ndim == 2

    def product(self, V: Float[np.ndarray, "rows m"]) -> Float[np.ndarray, "rows m"]:
        """The curvature times a direction."""
        if self.coupled:
            return (self.gram @ V.ravel()).reshape(V.shape)
        return np.matmul(self.gram, V[..., None])[..., 0]

    def intercepts(self, V: Float[np.ndarray, "rows m"]) -> Float[np.ndarray, " rows"]:
        """The change of the best intercepts after a step V of the coefficients."""
        if self.coupled:
            return -(self.lift.T @ V.ravel())
        return -(self.lift * V).sum(axis=1)


def metric_apart(
    XT: Float[np.ndarray, "d_feat n"],
    at: WorkingSet,
    proba: Float[np.ndarray, "all_rows n"],
    weight: Float[np.ndarray, " n"],
    *,
    effort: float,
) -> QuadraticModel:
    """sum_i D_ki (x_i - xbar_k)(x_i - xbar_k)' with D = w p (1 - p), row by row.

    It is exact for one row. For more rows the coupling between them is left out, and
    large sums are thinned to about `effort` examples per column. A line search guards
    this approximation, so it never changes the solution.
    """
    rows, m = at.columns.shape
    gram, lift = np.zeros((rows, m, m), XT.dtype), np.zeros((rows, m), XT.dtype)
    shared = rows > 1 and bool((at.columns == at.columns[0]).all())
    block = XT[at.columns[0]] if shared else None
    size = at.real.sum(axis=1)
    budget = np.inf if len(proba) == 1 else effort * max(int(size.max()), 100)
    for i in np.flatnonzero(size):
        n, p = size[i], proba[at.rows[i]]
        picked, curvature = _thin(np.maximum(p * (1 - p), 1e-6) * weight, budget)
        part = _take(XT if block is None else block, at.columns[i, :n], picked, block)
        mass = max(float(curvature.sum()), 1e-30)
        lift[i, :n] = part @ curvature / mass
        part = (part - lift[i, :n, None]) * np.sqrt(curvature)
        gram[i, :n, :n] = part @ part.T
        gram[i, np.arange(n), np.arange(n)] += _ridge(picked) * mass
    return QuadraticModel(at, gram, lift, _largest_eigenvalue(gram))


def metric_coupled(
    XT: Float[np.ndarray, "d_feat n"],
    at: WorkingSet,
    proba: Float[np.ndarray, "all_rows n"],
    weight: Float[np.ndarray, " n"],
    *,
    effort: float,
) -> QuadraticModel:
    """The Hessian over all rows of the working set together, thinned if it is large."""
    rows, m = at.columns.shape
    P = proba[at.rows]
    total = np.maximum((P * (1 - P)).sum(axis=0), 1e-6)
    picked, mass = _thin(total * weight, effort * rows * m)
    if picked is not None:
        P, weight = P[:, picked], mass / total[picked]
    parts = np.zeros((rows, m, len(weight)), XT.dtype)
    gram = np.zeros((rows, m, rows, m), XT.dtype)
    cross = np.zeros((rows, m, rows), XT.dtype)
    for i, n in enumerate(at.real.sum(axis=1)):
        part = _take(XT, at.columns[i, :n], picked, None)
        weighted = part * np.sqrt(P[i] * weight)
        gram[i, :n, i, :n] = weighted @ weighted.T
        cross[i, :n, i] = part @ (P[i] * weight)
        parts[i, :n] = part * (P[i] * np.sqrt(weight))
    flat, S = parts.reshape(rows * m, -1), P * np.sqrt(weight)
    gram = gram.reshape(rows * m, rows * m) - flat @ flat.T
    cross = cross.reshape(rows * m, rows) - flat @ S.T
    intercept_curvature = np.diag(P @ weight) - S @ S.T
    intercept_curvature[np.diag_indices(rows)] += (
        1e-4 * np.trace(intercept_curvature) / rows
    )
    lift = np.linalg.solve(intercept_curvature.astype(np.float64), cross.T).T.astype(
        XT.dtype
    )
    gram -= lift @ cross.T
    real = at.real.ravel()
    gram[real, real] += _ridge(picked) * float(mass.sum()) / rows
    top = np.full((rows, 1), _largest_eigenvalue(gram[None])[0, 0], XT.dtype)
    return QuadraticModel(at, gram, lift, top)


def _thin(
    curvature: Float[np.ndarray, " n"], n_examples: float
) -> tuple[Int[np.ndarray, " picked"] | None, Float[np.ndarray, " picked"]]:
    """Positions and weights of a systematic sample of examples; None means all of them.

    Examples above the threshold keep their weight. Each of the others is kept with
    probability curvature / threshold and then has the threshold as its weight. The
    sample is unbiased up to its phase, and the same at every call.
    """
    n_examples = max(n_examples, _FEWEST)
    if len(curvature) <= n_examples:
        return None, curvature
    threshold = float(curvature.sum(dtype=np.float64)) / n_examples
    chance = np.minimum(curvature / max(threshold, 1e-30), 1).cumsum(dtype=np.float64)
    picked = np.flatnonzero(np.diff(np.floor(chance + 0.5), prepend=0.0))
    return picked, np.maximum(curvature[picked], threshold).astype(curvature.dtype)


def solve_quadratic(
    metric: QuadraticModel,
    W: Float[np.ndarray, "rows m"],
    G: Float[np.ndarray, "rows m"],
    lam: float,
    *,
    penalty: Penalty,
    tol: float,
    max_iter: int = 500,
) -> Float[np.ndarray, "rows m"]:
    """argmin_U <G, U - W> + (U - W)' gram (U - W) / 2 + lam * penalty(U).

    Accelerated proximal gradient, restarted row by row (O'Donoghue & Candes 2015). It
    stops when no coordinate's gradient map exceeds tol or a twentieth of its first
    value.
    """
    top = np.full_like(metric.top, metric.top.max()) if penalty.shared else metric.top
    step, shrink = 1 / top, lam / top
    q = G - metric.product(W)
    U, V = W, W
    momentum = np.ones_like(top)
    goal = np.inf
    one_block = metric.coupled or len(W) == 1
    sprint = SPRINT + W.size // 4
    for step_number in range(1, max_iter + 1):
        if step_number % sprint == 0 and one_block and isinstance(penalty, L1):
            U = V = _to_face_minimum(metric, q, U, lam)
            momentum = np.ones_like(top)
        new = penalty.prox(V - step * (metric.product(V) + q), shrink)
        back, move = V - new, new - U
        size = float((np.abs(back) * top).max())
        goal = max(0.05 * size, tol) if goal == np.inf else goal
        if size <= goal:
            return new
        uphill = (back * move).sum(axis=1, keepdims=True) > 0
        momentum[uphill] = 1
        next_momentum = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        V = new + (momentum - 1) / next_momentum * move
        U, momentum = new, next_momentum
    return U


def _to_face_minimum(
    metric: QuadraticModel, q: np.ndarray, U: np.ndarray, lam: float
) -> np.ndarray:
    """U moved to the minimum over its own support and signs, for the L1 penalty.

    A coefficient that would change its sign stops at zero, and the others go on. This
    is exact on nearly collinear features, where gradient steps are very slow.
    """
    gram = metric.gram.reshape(U.size, U.size)
    u, q = U.ravel().copy(), q.ravel()
    for _ in range(5):
        at = np.flatnonzero(u)
        sign = np.sign(u[at])
        inner = gram[np.ix_(at, at)]
        inner[np.diag_indices(len(at))] *= 1 + 1e-6
        goal = np.linalg.solve(inner, -(q[at] + lam * sign))
        crossing = goal * sign < 0
        if not crossing.any():
            u[at] = goal
            break
        reach = u[at] / np.where(crossing, u[at] - goal, np.inf)
        t = reach[crossing].min()
        u[at] += t * (goal - u[at])
        u[at[crossing & (reach <= t)]] = 0
    return u.reshape(U.shape)


def _take(XT, columns, picked, block) -> np.ndarray:
    """Features of the picked examples, from `block` if it holds the columns already."""
    if block is not None:
        part = block[: len(columns)]
        return part if picked is None else part[:, picked]
    return XT[columns] if picked is None else XT[columns[:, None], picked]


def _ridge(picked: np.ndarray | None) -> float:
    """A ridge for what a thinned sample may miss: one more example of unit variance."""
    return 1e-6 if picked is None else 1 / len(picked)


def _largest_eigenvalue(gram: np.ndarray) -> np.ndarray:
    """A slight overestimate by power iteration, (rows, 1), never zero."""
    longest = np.linalg.norm(gram, axis=2).argmax(axis=1)
    v = gram[np.arange(len(gram)), longest]
    size = np.ones((len(gram), 1), gram.dtype)
    for _ in range(15):
        v = v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-30)
        v = np.matmul(gram, v[..., None])[..., 0]
        size = np.linalg.norm(v, axis=1, keepdims=True)
    return np.maximum(1.1 * size, 1e-6).astype(gram.dtype)
