"""Sparse multinomial logistic regression along a path of C, with certificates.

Proximal Newton on working sets. Each step takes the gradient of every feature, a
quadratic model of the support and the worst violators, and an Armijo line search on the
objective. The rows of W are modelled separately as long as that helps; then the rows
that violate optimality are modelled together (coupled).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.errors import StcError
from stc_core.probes import losses
from stc_core.probes.early_stopping import EarlyStopping
from stc_core.probes.losses import Target
from stc_core.probes.penalties import (
    Penalty,
    PenaltyName,
    get_penalty,
    lambda_max,
)
from stc_core.probes.problem import (
    Path,
    Problem,
    null_path,
    pose_problem,
    rounding_limit,
)
from stc_core.probes.quadratic import (
    QuadraticModel,
    WorkingSet,
    metric_apart,
    metric_coupled,
    solve_quadratic,
)
from stc_core.probes.strengths import Strengths, ascending

EFFORT = 10.0  # examples for each column of a Gram matrix, at first
SHARED_EFFORT = 4.0  # the same if all rows share their columns, which then are many
MIN_SET = 64  # at least so many violators may join a row's working set
GRAM_CELLS = 30_000_000  # bounds the memory of all Gram matrices of a step
COUPLED_CELLS = 2400  # coefficients in one coupled Gram matrix
IDLE_STEPS = 8  # steps without improvement after which only rounding is left
COUPLED_ROWS = 12  # with more rows the matrix costs more than the steps it saves


class _State(NamedTuple):
    """An iterate: coefficients, intercepts and the logits they give."""

    W: np.ndarray  # (rows, d_feat)
    b: np.ndarray  # (rows,) float64
    Z: np.ndarray  # (rows, n)


class _Solution(NamedTuple):
    """An iterate with its gradient, its slope, its violation and the steps so far."""

    state: _State
    G: np.ndarray  # (rows, d_feat)
    slope: losses.Slope
    kkt: float
    n_iter: int


class _Record(NamedTuple):
    """The best values of a solve so far, and the steps since they last improved."""

    worst: float = np.inf
    value: float = np.inf
    idle: int = 0

    def after(self, worst: float, value: float, eps: float) -> "_Record":
        """The record after one more step, with its violation and its objective."""
        better = worst < 0.9 * self.worst or value < self.value - eps * abs(self.value)
        idle = 0 if better or not np.isfinite(self.value) else self.idle + 1
        return _Record(min(worst, self.worst), min(value, self.value), idle)


def fit_path(
    X: Float[np.ndarray, "n d_feat"],
    y: Int[np.ndarray, " n"],
    *,
    penalty: PenaltyName = "l1",
    Cs: Float[np.ndarray, " n_C"] | None = None,
    n_C: int = 9,
    lambda_ratio: float = 0.035,
    class_weight: str | Float[np.ndarray, " n_class"] | None = None,
    sample_weight: Float[np.ndarray, " n"] | None = None,
    n_class: int | None = None,
    tol: float = 0.1,
    max_iter: int = 200,
    X_val: Float[np.ndarray, "n_val d_feat"] | None = None,
    y_val: Int[np.ndarray, " n_val"] | None = None,
    patience: int = 2,
) -> Path:
    """The probes for growing C: min C * sum_i w_i log-loss_i + penalty(W).

    `y` holds codes 0 .. n_class - 1. Without `Cs` the strengths 1 / C start at half the
    smallest one that keeps W = 0 and fall by the factor `lambda_ratio` in `n_C`
    geometric steps. Each probe stops when no coordinate violates optimality by more
    than tol / C; `kkt` and `gap` say what was reached. With validation data the path
    ends after `patience` probes in a row that improve neither accuracy nor log-loss, so
    fewer than n_C may come back. If no feature tells the classes apart, the result is
    `null_path`.
    """
    strengths = Strengths(ascending(Cs), n_C, lambda_ratio)
    early: EarlyStopping | None = None
    if X_val is not None and y_val is not None:
        early = EarlyStopping(X_val, y_val, patience=patience)
    problem = pose_problem(
        X,
        y,
        get_penalty(penalty),
        n_class=n_class,
        class_weight=class_weight,
        sample_weight=sample_weight,
    )
    return _fit_problem(problem, strengths, early, tol=tol, max_iter=max_iter)


def _fit_problem(
    problem: Problem,
    strengths: Strengths,
    early: EarlyStopping | None,
    *,
    tol: float,
    max_iter: int,
) -> Path:
    """The path of a problem along the strengths, as far as `early` lets it go."""
    _check_norm(problem.penalty)
    start = _start(problem)
    strongest = lambda_max(problem.penalty, start.G)
    if strongest <= rounding_limit(problem):
        Cs, n_C, ratio = strengths
        path = null_path(problem, Cs, n_C=n_C, lambda_ratio=ratio)
        return path if early is None else early.cut(path)
    steps = strengths.steps(strongest / problem.row_factor)
    fitted: list[tuple[float, _Solution]] = []
    for lam, solution in _solutions(problem, start, steps, tol=tol, max_iter=max_iter):
        fitted.append((lam, solution))
        if early is not None:
            probe = _collect(problem, fitted[-1:], np.full(1, np.nan))
            if early.ends_with(probe, 0):
                break
    score = np.full(len(fitted), np.nan) if early is None else early.accuracies
    return _collect(problem, fitted, score)


def _solutions(
    problem: Problem,
    start: _Solution,
    steps: Sequence[tuple[float, bool]],
    *,
    tol: float,
    max_iter: int,
) -> Iterator[tuple[float, _Solution]]:
    """Solve at each strength from the solution before; yield the wanted ones."""
    solution = start
    for lam, wanted in steps:
        step_tol = tol if wanted else max(tol, 0.5)
        solution = _solve(problem, solution, lam, tol=step_tol, max_iter=max_iter)
        if wanted:
            yield lam, solution


def _check_norm(penalty: Penalty) -> None:
    """Raise StcError for a penalty whose optimum this solver cannot certify."""
    if not penalty.is_norm:
        raise StcError(
            f"penalty {type(penalty).__name__}",
            expected="a norm, as the duality gap of this solver needs",
            remedy="Choose 'l1' or 'group'.",
        )


def _start(problem: Problem) -> _Solution:
    """The best probe without coefficients: intercepts alone."""
    b = losses.null_intercept(problem.target)
    W = np.zeros((len(b), len(problem.XT)), problem.XT.dtype)
    Z = np.repeat(b[:, None], problem.XT.shape[1], axis=1).astype(W.dtype)
    return _evaluate(problem, _State(W, b, Z), np.inf)


def _evaluate(problem: Problem, state: _State, intercept_tol: float) -> _Solution:
    """The iterate with its intercepts optimised, and the gradient of all features."""
    state, slope = _centre(problem.target, state, intercept_tol)
    # For one row a matrix-vector product along memory: ten times as fast as R @ XT.T.
    R, XT = slope.residual, problem.XT
    G = (XT @ R[0])[None] if len(R) == 1 else R @ XT.T
    return _Solution(state, G, slope, np.nan, 0)


def _centre(target: Target, state: _State, tol: float) -> tuple[_State, losses.Slope]:
    """Newton steps on the intercepts until their gradient is below tol."""
    slope = losses.slope(state.Z, target)
    for _ in range(20):
        r = slope.residual.sum(axis=1, dtype=np.float64)
        if np.abs(r).max() <= tol:
            break
        S = slope.proba * np.sqrt(target.weight)
        H = np.diag(slope.proba @ target.weight) - S @ S.T
        H[np.diag_indices_from(H)] += 1e-4 * np.trace(H) / len(H) + 1e-30
        beta = np.clip(-np.linalg.solve(H.astype(np.float64), r), -2, 2)
        Z = state.Z + beta[:, None].astype(state.Z.dtype)
        new = losses.slope(Z, target)
        if not new.loss < slope.loss:
            break
        state, slope = _State(state.W, state.b + beta, Z), new
    return state, slope


def _solve(
    problem: Problem, warm: _Solution, lam: float, *, tol: float, max_iter: int
) -> _Solution:
    """The probe at strength lam, starting from `warm`, to a violation of tol * lam.

    The solve ends early when rounding allows no more progress; `kkt` then says how far
    it came. The metric is kept while the violation halves at each step. Otherwise a new
    one is made: the first time with separate rows, later coupled if few enough rows
    violate optimality. A failed line search asks for a metric of more examples; when
    all are in use, it ends the solve.
    """
    lam = lam * problem.row_factor
    metric: QuadraticModel | None = None
    now, last_worst, record = warm, np.inf, _Record()
    effort = SHARED_EFFORT if problem.penalty.shared else EFFORT
    for n_iter in range(max_iter + 1):
        far = problem.penalty.distance(now.state.W, now.G, lam)
        worst = float(far.max(initial=0.0))
        now = now._replace(kkt=worst / lam, n_iter=n_iter)
        value = now.slope.loss + lam * problem.penalty.value(now.state.W)
        record = record.after(worst, value, float(np.finfo(now.G.dtype).eps))
        if worst <= tol * lam or n_iter == max_iter or record.idle == IDLE_STEPS:
            break
        slow = worst > 0.5 * last_worst
        row_goal = 0.5 * tol * lam
        if metric is None or slow or not _covers(metric.at, far):
            metric = _metric(problem, now, far, row_goal if slow else None, effort)
        last_worst = worst
        step = _newton_step(problem, now, metric, lam, 0.03 * tol * lam)
        if step is not None:
            now = _evaluate(problem, step, 0.1 * tol * lam)
            continue
        if effort > problem.XT.shape[1]:
            break
        metric, last_worst, effort = None, np.inf, 30 * effort
    return now


def _covers(at: WorkingSet, far: np.ndarray) -> bool:
    """Whether the worst violation is inside the working set."""
    row, column = np.unravel_index(far.argmax(), far.shape)
    same_row = slice(None) if len(far) == 1 else at.rows == row
    return bool((at.real[same_row] & (at.columns[same_row] == column)).any())


def _metric(
    problem: Problem,
    now: _Solution,
    far: np.ndarray,
    violation: float | None,
    effort: float,
) -> QuadraticModel:
    """A new metric; coupled if few rows violate optimality by more than `violation`."""
    parts = problem.XT, now.slope.proba, problem.target.weight
    XT, proba, weight = parts
    rows = np.arange(len(proba))
    if violation is not None and len(rows) > 1:
        if not problem.penalty.shared:
            rows = np.flatnonzero(far.max(axis=1) > violation)
        if len(rows) <= COUPLED_ROWS:
            at = _working_set(problem, now, far, rows)
            if at.columns.size <= COUPLED_CELLS:
                return metric_coupled(XT, at, proba, weight, effort=effort)
    at = _working_set(problem, now, far, np.arange(len(proba)))
    return metric_apart(XT, at, proba, weight, effort=effort)


def _working_set(
    problem: Problem, now: _Solution, far: np.ndarray, rows: np.ndarray
) -> WorkingSet:
    """The support and the worst violators of the rows, as far as memory allows."""
    support = now.state.W != 0
    if problem.penalty.shared:
        support = support.any(axis=0, keepdims=True)
    else:
        support, far = support[rows], far[rows]
    n_support = support.sum(axis=1)
    n_new = ((far > 0) & ~support).sum(axis=1)
    size = n_support + np.minimum(n_new, np.maximum(MIN_SET, n_support))
    cap = max(int((GRAM_CELLS / len(rows)) ** 0.5), 1)
    # If a support does not fit, only the worst violators are taken, in it or not.
    whole = (n_support <= cap)[:, None]
    rank = np.where(support & whole, far + far.max(), far)
    m = min(max(int(size.max()), 1), cap, far.shape[1])
    columns = np.argsort(-rank, axis=1, kind="stable")[:, :m]
    real = np.arange(m) < size[:, None]
    shape = (len(rows), m)
    return WorkingSet(
        rows, np.broadcast_to(columns, shape), np.broadcast_to(real, shape)
    )


def _newton_step(
    problem: Problem, now: _Solution, metric: QuadraticModel, lam: float, tol: float
) -> _State | None:
    """The next iterate, or None if no step along the direction lowers the objective."""
    state, penalty, (rows, columns, real) = now.state, problem.penalty, metric.at
    at = rows[:, None], columns
    W, G = np.where(real, state.W[at], 0), np.where(real, now.G[at], 0)
    delta = solve_quadratic(metric, W, G, lam, penalty=penalty, tol=tol) - W
    D, beta = np.zeros_like(state.W), np.zeros_like(state.b)
    D[at] = np.where(real, delta, 0)
    beta[rows] = metric.intercepts(delta)
    used = np.flatnonzero(D.any(axis=0))
    dZ = np.repeat(beta[:, None], state.Z.shape[1], axis=1).astype(D.dtype)
    dZ[rows] += D[rows[:, None], used] @ problem.XT[used]
    old_objective = now.slope.loss + lam * penalty.value(state.W)
    predicted_change = (
        float((now.G[:, used] * D[:, used]).sum(dtype=np.float64))
        + float(now.slope.residual.sum(axis=1, dtype=np.float64) @ beta)
        + lam * (penalty.value(state.W + D) - penalty.value(state.W))
    )
    noise = 4 * np.finfo(D.dtype).eps * abs(old_objective)
    t = 1.0
    while predicted_change < 0 and t > 1e-4:
        scale = D.dtype.type(t)
        new = _State(state.W + scale * D, state.b + t * beta, state.Z + scale * dZ)
        new_objective = losses.loss_of(new.Z, problem.target) + lam * penalty.value(
            new.W
        )
        if new_objective <= old_objective + 1e-3 * t * predicted_change + (
            noise if t == 1 else 0
        ):
            return new
        t *= 0.5
    return None


def _collect(
    problem: Problem, fitted: list[tuple[float, _Solution]], score: np.ndarray
) -> Path:
    """The path of the solutions, as K rows each, with their certificates."""
    rows = [problem.all_rows(s.state.W, s.state.b) for _, s in fitted]
    certificates = [_certify(problem, solution, lam) for lam, solution in fitted]
    coef = np.stack([W for W, _ in rows])
    return Path(
        Cs=np.array([1 / lam for lam, _ in fitted]),
        coef=coef,
        intercept=np.stack([b for _, b in rows]),
        objective=np.array([objective for objective, _ in certificates]),
        gap=np.array([gap for _, gap in certificates]),
        kkt=np.array([solution.kkt for _, solution in fitted]),
        n_iter=np.array([solution.n_iter for _, solution in fitted]),
        nonzeros=coef.any(axis=1).sum(axis=1),
        mean=problem.mean,
        sd=problem.sd,
        score=score,
    )


def _certify(problem: Problem, solution: _Solution, lam: float) -> tuple[float, float]:
    """C * loss + penalty, and the duality gap relative to that objective."""
    lam_row = lam * problem.row_factor
    primal = solution.slope.loss + lam_row * problem.penalty.value(solution.state.W)
    scale = min(1.0, lam_row / max(problem.penalty.dual_norm(solution.G), 1e-30))
    dual = losses.dual_value(solution.slope.proba, problem.target, scale)
    return primal / lam, max(primal - dual, 0.0) / max(primal, 1e-30)
