"""Sparse multinomial logistic regression along a path of C, certified.

Proximal Newton on working sets: the gradient of every feature at each step, a
quadratic model of the worst violators only, an Armijo line search on the objective.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core import losses
from stc_core.errors import StcError
from stc_core.losses import Target
from stc_core.penalties import Name, Penalty, get_penalty, lambda_max
from stc_core.quadratic import Metric, build_metric, solve_quadratic

MIN_SET = 64
GRAM_CELLS = 30_000_000


class Path(NamedTuple):
    """Probes for growing C, on the standardised scale, always K rows of coefficients.

    For two classes the rows are (-w/2, w/2), so that softmax, L1 norm and objective
    equal those of the one-row model w. `gap` is the duality gap relative to the
    objective, `kkt` the largest violation of optimality relative to 1 / C; `score`
    is the validation accuracy (nan without validation data).
    """

    Cs: Float[np.ndarray, " n_C"]
    coef: Float[np.ndarray, "n_C n_class d_feat"]
    intercept: Float[np.ndarray, "n_C n_class"]
    objective: Float[np.ndarray, " n_C"]
    gap: Float[np.ndarray, " n_C"]
    kkt: Float[np.ndarray, " n_C"]
    n_iter: Int[np.ndarray, " n_C"]
    nonzeros: Int[np.ndarray, " n_C"]
    mean: Float[np.ndarray, " d_feat"]
    sd: Float[np.ndarray, " d_feat"]
    score: Float[np.ndarray, " n_C"]

    def logits(
        self, X: Float[np.ndarray, "n d_feat"], index: int
    ) -> Float[np.ndarray, "n n_class"]:
        """Logits of raw features under the probe of the index-th C."""
        used = np.flatnonzero(self.coef[index].any(axis=0))
        x = np.asarray(X[:, used], self.coef.dtype)
        x = (x - self.mean[used]) / self.sd[used]
        return x @ self.coef[index][:, used].T + self.intercept[index]


class _State(NamedTuple):
    """An iterate: coefficients, intercepts and the logits they give."""

    W: np.ndarray  # (rows, d_feat)
    b: np.ndarray  # (rows,) float64
    Z: np.ndarray  # (rows, n)


class _Solution(NamedTuple):
    state: _State
    G: np.ndarray
    slope: losses.Slope
    kkt: float
    n_iter: int


def standardise(
    X: Float[np.ndarray, "n d_feat"],
    weight: Float[np.ndarray, " n"] | None = None,
) -> tuple[
    Float[np.ndarray, "d_feat n"],
    Float[np.ndarray, " d_feat"],
    Float[np.ndarray, " d_feat"],
]:
    """Features-major standardised copy, means, standard deviations.

    Columns that do not vary come out as zeros, with a standard deviation of 1; a
    weight counts an example that many times. float64 stays float64; everything else
    is float32.
    """
    dtype = np.float64 if X.dtype == np.float64 else np.float32
    n, d = X.shape
    XT = np.empty((d, n), dtype)
    for start in range(0, n, 16):  # narrow strips: a transpose that stays in cache
        XT[:, start : start + 16] = X[start : start + 16].T
    share = np.full(n, 1 / n) if weight is None else weight / weight.sum()
    share = share.astype(dtype)
    mean = (XT @ share).astype(np.float64)
    XT -= mean[:, None].astype(dtype)
    left = (XT @ share).astype(np.float64)  # what rounding left of the mean
    XT -= left[:, None].astype(dtype)
    mean += left
    sd = np.sqrt(np.einsum("ij,ij,j->i", XT, XT, share), dtype=np.float64)
    flat = ~(sd > 32 * np.finfo(dtype).eps * np.maximum(np.abs(mean), 1e-30))
    sd[flat] = 1
    XT *= (1 / sd)[:, None].astype(dtype)
    XT[flat] = 0
    return XT, mean, sd


def lambda_path(top: float, n_C: int, lambda_ratio: float) -> np.ndarray:
    """Geometric strengths from top / 2 down to lambda_ratio * top / 2."""
    return 0.5 * top * np.geomspace(1, lambda_ratio, n_C)


def fit_path(
    X: Float[np.ndarray, "n d_feat"],
    y: Int[np.ndarray, " n"],
    *,
    penalty: Name = "l1",
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
    """The probes of growing C: min C * sum_i w_i log-loss_i + penalty(W).

    `y` holds codes 0 .. n_class - 1. Without `Cs` the strengths 1 / C fall from half
    the smallest one that keeps W = 0 by `lambda_ratio`, in `n_C` geometric steps. Each
    probe stops when no coordinate violates optimality by more than tol / C. With
    validation data the path ends after `patience` probes without a better accuracy,
    so fewer than n_C come back. A class without examples keeps coefficients of 0 and
    the intercept of half an example. Source: PERF notes in benches/bench_probe.py.
    """
    problem = _pose(X, y, get_penalty(penalty), n_class, class_weight, sample_weight)
    lams = _strengths(problem, Cs, n_C, lambda_ratio)
    fitted: list[tuple[float, _Solution]] = []
    scores: list[float] = []
    solution = _start(problem)
    for lam, wanted in lams:
        solution = _solve(
            problem, solution, lam, tol=tol if wanted else 0.5, max_iter=max_iter
        )
        if not wanted:
            continue
        fitted.append((lam, solution))
        if X_val is not None and y_val is not None:
            probe = _collect(problem, fitted[-1:], [np.nan])
            guess = probe.logits(X_val, 0).argmax(axis=1)
            scores.append(float(np.mean(guess == y_val)))
            if len(scores) - 1 - int(np.argmax(scores)) >= patience:
                break
        else:
            scores.append(np.nan)
    return _collect(problem, fitted, scores)


class _Problem(NamedTuple):
    XT: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    target: Target
    penalty: Penalty
    present: np.ndarray  # codes of the classes that have examples
    n_class: int


def _pose(X, y, penalty, n_class, class_weight, sample_weight) -> _Problem:
    """Standardised features, weights, and codes without gaps."""
    n_class = int(y.max()) + 1 if n_class is None else n_class
    weight = np.ones(len(y)) if sample_weight is None else np.array(sample_weight, "d")
    mass = np.bincount(y, weight, n_class)
    present = np.flatnonzero(mass > 0)
    if len(present) < 2:
        raise StcError(
            "fit_path",
            expected="examples of at least 2 classes with a positive weight",
            got=f"{len(present)} class",
        )
    XT, mean, sd = standardise(X, weight)
    if class_weight is not None:
        if isinstance(class_weight, str):
            class_weight = mass.sum() / (len(present) * np.maximum(mass, 1e-300))
        weight = weight * class_weight[y]
    recode = np.full(n_class, 0)
    recode[present] = np.arange(len(present))
    target = Target(recode[y], weight.astype(XT.dtype), len(present))
    return _Problem(XT, mean, sd, target, penalty, present, n_class)


def _start(problem: _Problem) -> _Solution:
    """The best probe without coefficients."""
    b = losses.null_intercept(problem.target)
    W = np.zeros((len(b), len(problem.XT)), problem.XT.dtype)
    Z = np.repeat(b[:, None], problem.XT.shape[1], axis=1).astype(W.dtype)
    return _evaluate(problem, _State(W, b, Z), np.inf, 0)


def _strengths(problem, Cs, n_C, lambda_ratio) -> list[tuple[float, bool]]:
    """(lambda, wanted) from strong to weak; unwanted ones only warm up the next."""
    start = _start(problem)
    top = lambda_max(problem.penalty, start.G) / _row_factor(problem)
    if Cs is None:
        top = max(top, np.finfo(problem.XT.dtype).tiny)
        return [(float(lam), True) for lam in lambda_path(top, n_C, lambda_ratio)]
    steps: list[tuple[float, bool]] = []
    last = top
    for C in np.sort(np.asarray(Cs, float)):
        if C <= 0:
            raise StcError("C", expected="a positive number", got=str(C))
        n_steps = int(np.log(max(last * C, 1)) / np.log(3))
        between = np.geomspace(last, 1 / C, n_steps + 2)[1:-1] if n_steps else []
        steps += [(float(lam), False) for lam in between] + [(1 / float(C), True)]
        last = min(last, 1 / C)
    return steps


def _row_factor(problem: _Problem) -> float:
    return problem.penalty.one_row if problem.target.rows == 1 else 1.0


def _evaluate(
    problem: _Problem, state: _State, intercept_tol: float, n_iter: int
) -> _Solution:
    """Gradient of all features, after the intercepts' own gradient is all but zero."""
    state, slope = _centre(problem.target, state, intercept_tol)
    G = slope.residual @ problem.XT.T
    return _Solution(state, G, slope, np.nan, n_iter)


def _centre(target: Target, state: _State, tol: float) -> tuple[_State, losses.Slope]:
    """Newton steps on the intercepts until their gradient is below tol."""
    slope = losses.slope(state.Z, target)
    for _ in range(20):
        r = slope.residual.sum(axis=1, dtype=np.float64)
        if np.abs(r).max() <= tol:
            break
        P = slope.proba
        H = -(P * target.weight) @ P.T
        H[np.diag_indices_from(H)] += P @ target.weight
        H = H.astype(np.float64) + (1.0 if target.rows > 1 else 0.0)
        H[np.diag_indices_from(H)] += 1e-6 * np.trace(H) / len(H)
        beta = np.clip(-np.linalg.solve(H, r), -2, 2)
        b = state.b + beta
        Z = state.Z + beta[:, None].astype(state.Z.dtype)
        new = losses.slope(Z, target)
        if not new.loss < slope.loss:
            break
        state, slope = _State(state.W, b, Z), new
    return state, slope


def _solve(
    problem: _Problem, warm: _Solution, lam: float, *, tol: float, max_iter: int
) -> _Solution:
    """The probe at strength lam, from `warm`, to a violation of tol * lam."""
    lam_row = lam * _row_factor(problem)
    metric: Metric | None = None
    exact = False
    now, last, reused = warm, np.inf, False
    for n_iter in range(max_iter + 1):
        far = problem.penalty.distance(now.state.W, now.G, lam_row)
        worst = float(far.max(initial=0.0))
        now = now._replace(kkt=worst / lam_row, n_iter=n_iter)
        if worst <= tol * lam_row or n_iter == max_iter:
            break
        if metric is None or worst > 0.5 * last or not _covers(metric, far):
            metric, reused = _working_metric(problem, now, far, exact), False
        step = _newton_step(
            problem, now, metric, lam_row, max(0.1 * worst, 0.1 * tol * lam_row)
        )
        last = worst
        if step is None:
            if exact and not reused:
                break
            exact, metric = True, None
            continue
        reused = True
        now = _evaluate(problem, step, 0.1 * tol * lam_row, n_iter)
    return now


def _covers(metric: Metric, far: np.ndarray) -> bool:
    """Whether the worst violation is inside the working set."""
    inside = np.zeros((len(metric.columns), far.shape[1]), bool)
    np.put_along_axis(inside, metric.columns, metric.real, axis=1)
    outside = np.where(inside[: len(far)], 0, far)
    return float(outside.max()) < float(far.max())


def _working_metric(
    problem: _Problem, now: _Solution, far: np.ndarray, exact: bool
) -> Metric:
    """Support and worst violators of each row, with their Gram matrices."""
    rows, d = now.state.W.shape
    support = now.state.W != 0
    if problem.penalty.shared:
        support = support.any(axis=0, keepdims=True)
    n_support = support.sum(axis=1)
    n_worst = np.minimum((far > 0).sum(axis=1), np.maximum(MIN_SET, n_support))
    cap = min(d, int((GRAM_CELLS / rows) ** 0.5))
    rank = np.where(support, far + far.max(), far)
    wanted = (support | (far > 0)).sum(axis=1)
    size = np.minimum(np.minimum(n_support + n_worst, wanted), cap)
    if (n_support > cap).any():
        rank = far
    m = max(int(size.max()), 1)
    columns = np.argsort(-rank, axis=1, kind="stable")[:, :m]
    real = np.arange(m) < size[:, None]
    columns = np.broadcast_to(columns, (rows, m))
    real = np.broadcast_to(real, (rows, m))
    P, weight = now.slope.proba, problem.target.weight
    curvature = np.maximum(P * (1 - P), 1e-6) * weight
    everything = problem.XT.shape[1]
    n = everything if exact or rows == 1 else max(1000, 10 * m)
    return build_metric(problem.XT, curvature, columns=columns, real=real, n_examples=n)


def _newton_step(
    problem: _Problem, now: _Solution, metric: Metric, lam: float, tol: float
) -> _State | None:
    """The next iterate, or None when no step along the direction descends."""
    state, penalty = now.state, problem.penalty
    W = np.where(metric.real, np.take_along_axis(state.W, metric.columns, 1), 0)
    G = np.where(metric.real, np.take_along_axis(now.G, metric.columns, 1), 0)
    U = solve_quadratic(metric, W, G, lam, penalty=penalty, tol=tol, max_iter=500)
    delta = U - W
    beta = -(metric.mean * delta).sum(axis=1, dtype=np.float64)
    D = np.zeros_like(state.W)
    np.put_along_axis(D, metric.columns, np.where(metric.real, delta, 0), axis=1)
    used = np.flatnonzero(D.any(axis=0))
    dZ = D[:, used] @ problem.XT[used] + beta[:, None].astype(D.dtype)
    before = now.slope.loss + lam * penalty.value(state.W)
    r = now.slope.residual.sum(axis=1, dtype=np.float64)
    promised = float(
        (now.G[:, used] * D[:, used]).sum(dtype=np.float64)
        + r @ beta
        + lam * (penalty.value(state.W + D) - penalty.value(state.W))
    )
    noise = 4 * np.finfo(D.dtype).eps * abs(before)
    t = 1.0
    while promised < 0 and t > 1e-4:
        W_new = state.W + D.dtype.type(t) * D
        Z_new = state.Z + D.dtype.type(t) * dZ
        after = losses.loss_of(Z_new, problem.target) + lam * penalty.value(W_new)
        if after <= before + 1e-3 * t * promised + (noise if t == 1 else 0):
            return _State(W_new, state.b + t * beta, Z_new)
        t *= 0.5
    return None


def _collect(
    problem: _Problem, fitted: list[tuple[float, _Solution]], scores: list[float]
) -> Path:
    """The solutions as K rows, with their certificates."""
    n, K, d = len(fitted), problem.n_class, len(problem.XT)
    coef = np.zeros((n, K, d), problem.XT.dtype)
    mass = np.bincount(problem.target.codes, problem.target.weight)
    absent = float(np.log(0.5 / mass.sum()) - np.log(mass / mass.sum()).mean())
    intercept = np.full((n, K), absent)
    objective, gap = np.empty(n), np.empty(n)
    for i, (lam, solution) in enumerate(fitted):
        W, b = solution.state.W, solution.state.b
        if problem.target.rows == 1:
            W, b = np.concatenate([-W / 2, W / 2]), np.concatenate([-b / 2, b / 2])
        coef[i, problem.present] = W
        intercept[i, problem.present] = b
        objective[i], gap[i] = _certify(problem, solution, lam)
    return Path(
        Cs=np.array([1 / lam for lam, _ in fitted]),
        coef=coef,
        intercept=intercept,
        objective=objective,
        gap=gap,
        kkt=np.array([solution.kkt for _, solution in fitted]),
        n_iter=np.array([solution.n_iter for _, solution in fitted]),
        nonzeros=coef.any(axis=1).sum(axis=1),
        mean=problem.mean,
        sd=problem.sd,
        score=np.array(scores),
    )


def _certify(problem: _Problem, solution: _Solution, lam: float) -> tuple[float, float]:
    """Objective, and duality gap relative to it; both for C * loss + penalty."""
    lam_row = lam * _row_factor(problem)
    penalty = lam_row * problem.penalty.value(solution.state.W)
    primal = solution.slope.loss + penalty
    scale = min(1.0, lam_row / max(problem.penalty.dual_norm(solution.G), 1e-30))
    dual = losses.dual_value(solution.slope.proba, problem.target, scale)
    return primal / lam, max(primal - dual, 0.0) / max(primal, 1e-30)
