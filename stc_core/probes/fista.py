"""Probes of many pooled sites at once, as batched matrix products, for a GPU.

Problems, strengths and certificates are those of solver.py. Accelerated proximal
gradient (FISTA, Beck & Teboulle 2009) for all of them side by side; each probe restarts
on its own (O'Donoghue & Candès 2015). Weak penalties take too many steps.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from stc_core.errors import StcError
from stc_core.probes import losses
from stc_core.probes.device import DeviceProblem
from stc_core.probes.losses import Target
from stc_core.probes.penalties import L1, GroupL2, Penalty
from stc_core.probes.problem import Path, Problem, null_path, rounding_limit

_CHECK_STEPS = 20  # steps between two checks, which have to wait for the device
POWER_STEPS = 20
ROOM = 1.1  # factor: power iteration approaches the eigenvalue from below
SOLVED = (L1, GroupL2)
"""The penalties whose proximal map is written out here."""


class _Batch(NamedTuple):
    """Standardised features of all sites, and what the sites have in common."""

    X: Float[Tensor, "site d_feat n"]
    one_hot: Float[Tensor, "rows n"]
    weight: Float[Tensor, " n"]
    shared: bool  # the penalty is on columns of coefficients, not on single ones


class _Curve(NamedTuple):
    """Upper bounds of the curvature, of each site's coefficients and intercepts."""

    W: Float[Tensor, "site 1"]
    b: Float[Tensor, "site 1"]


class _State(NamedTuple):
    """Coefficients, intercepts and logits of every probe."""

    W: Float[Tensor, "site C rows d_feat"]
    b: Float[Tensor, "site C rows"]
    Z: Float[Tensor, "site C rows n"]

    def map(self, change: Callable[[Tensor], Tensor]) -> "_State":
        return _State(*map(change, self))


class _Solutions(NamedTuple):
    """The probes at the check at which each met its goal, and its number of steps."""

    W: Float[Tensor, "site C rows d_feat"]
    b: Float[Tensor, "site C rows"]
    n_iter: Int[Tensor, "site C"]


class _Probes(NamedTuple):
    """The solved probes of one site, on the host."""

    W: Float[np.ndarray, "C rows d_feat"]
    b: Float[np.ndarray, "C rows"]
    n_iter: Int[np.ndarray, " C"]
    lams: Float[np.ndarray, " C"]
    objective: Float[np.ndarray, " C"]
    gap: Float[np.ndarray, " C"]
    kkt: Float[np.ndarray, " C"]


def solves(penalty: Penalty) -> bool:
    """True if this solver minimises that very penalty."""
    return type(penalty) in SOLVED


def fit_paths(
    posed: Sequence[DeviceProblem],
    *,
    n_C: int = 9,
    lambda_ratio: float = 0.035,
    tol: float = 0.1,
    max_iter: int = 4000,
) -> list[Path]:
    """A path for each problem; all have the same rows, classes, penalty and width.

    They equal those of `fit_path` without validation data, up to the tolerance of both:
    the same strengths, each probe to a violation of tol / C, and `null_path` where no
    feature tells the classes apart. If a probe does not get there in `max_iter` steps,
    its `kkt` shows it.
    """
    problem = posed[0].problem
    _check_solved(problem.penalty)
    batch = _stack(posed)
    start, top = _start(batch, problem.target)
    learned = (top > rounding_limit(problem)).cpu().numpy()
    some = torch.from_numpy(np.flatnonzero(learned)).to(top.device)
    if len(some) < len(posed):
        batch = batch._replace(X=batch.X[some])
    start = start.map(lambda part: part[some])
    lams = 0.5 * top[some, None] * _ratios(top, lambda_ratio, n_C)
    solved = iter(_solve_sites(batch, start, lams, tol=tol, max_iter=max_iter))
    return [
        _path(member.problem, next(solved))
        if is_learned
        else null_path(member.problem, n_C=n_C, lambda_ratio=lambda_ratio)
        for member, is_learned in zip(posed, learned, strict=True)
    ]


def _check_solved(penalty: Penalty) -> None:
    if not solves(penalty):
        raise StcError(
            f"penalty {type(penalty).__name__}",
            expected=f"one of {', '.join(kind.__name__ for kind in SOLVED)} on a GPU",
            remedy="Fit these probes with device='cpu'.",
        )


def _stack(posed: Sequence[DeviceProblem]) -> _Batch:
    """The features of all problems, and the target that they have in common."""
    X, problem = torch.stack([member.X for member in posed]), posed[0].problem
    target = (problem.target.one_hot(), problem.target.weight)
    one_hot, weight = (torch.from_numpy(part).to(X) for part in target)
    return _Batch(X, one_hot, weight, problem.penalty.shared)


def _solve_sites(
    batch: _Batch,
    start: _State,
    lams: Float[Tensor, "site C"],
    *,
    tol: float,
    max_iter: int,
) -> list[_Probes]:
    """The probes of each site at its strengths."""
    if not len(lams):
        return []
    n_C = lams.shape[1]
    start = start.map(lambda part: part.repeat_interleave(n_C, dim=1))
    curve = _curvature(batch)
    solutions = _minimise(batch, curve, lams, start, tol=tol, max_iter=max_iter)
    parts = (*solutions, lams, *_certify(batch, solutions, lams))
    by_site = zip(*(part.cpu().numpy() for part in parts), strict=True)
    return [_Probes(*site) for site in by_site]


def _ratios(like: Tensor, lambda_ratio: float, n_C: int) -> Tensor:
    return torch.from_numpy(np.geomspace(1, lambda_ratio, n_C)).to(like)


def _curvature(batch: _Batch) -> _Curve:
    """Upper bounds of the Hessian, block by block, for coefficients and intercepts.

    The curvature of the log-loss in the logits is at most 1/4 for one row and 1/2 for
    more (Böhning 1992). The weights couple the two blocks, so their bounds grow by the
    norm of the part between them.
    """
    X, weight = batch.X, batch.weight
    v = X.norm(dim=2).unsqueeze(1) + 1e-6  # (site, 1, d_feat)
    size = torch.ones_like(v[..., :1])
    for _ in range(POWER_STEPS):
        v = ((v / size) @ X * weight) @ X.mT
        size = v.norm(dim=2, keepdim=True).clamp(min=1e-30)
    largest = (ROOM * size[:, :, 0]).clamp(min=1e-6 * float(weight.sum()))
    between = (X @ weight).norm(dim=1, keepdim=True)
    total = weight.sum()
    in_logits = 0.25 if len(batch.one_hot) == 1 else 0.5
    factor = in_logits * (1 + between / (largest * total).sqrt())
    return _Curve(factor * largest, factor * total)


def _start(batch: _Batch, target: Target) -> tuple[_State, Float[Tensor, " site"]]:
    """Probes without coefficients, and the smallest strength that keeps them so."""
    X = batch.X
    b = torch.from_numpy(losses.null_intercept(target)).to(X)
    b = b.expand(len(X), 1, -1)
    Z = b.unsqueeze(3).expand(-1, -1, -1, X.shape[2])
    W = torch.zeros((*b.shape, X.shape[1]), dtype=X.dtype, device=X.device)
    G = _gradient(batch, _residual(batch, Z))
    # With one row for two classes this is the strength for that row (Penalty.one_row).
    return _State(W, b, Z), _dual_norm(G, batch.shared)[:, 0]


class _Work(NamedTuple):
    """The unfinished probes: sites `s` and strengths `c`, as positions in the whole."""

    s: Tensor
    c: Tensor
    batch: _Batch
    curve: _Curve
    lams: Float[Tensor, "site C"]
    now: _State
    before: _State
    t: Float[Tensor, "site C"]

    def only(self, s: Tensor, c: Tensor) -> "_Work":
        """The work on the sites and strengths at these positions."""
        X = self.batch.X if len(s) == len(self.s) else self.batch.X[s]
        at = s[:, None], c
        return _Work(
            self.s[s],
            self.c[c],
            self.batch._replace(X=X),
            _Curve(*(part[s] for part in self.curve)),
            self.lams[at],
            self.now.map(lambda part: part[at]),
            self.before.map(lambda part: part[at]),
            self.t[at],
        )


def _minimise(
    batch: _Batch,
    curve: _Curve,
    lams: Float[Tensor, "site C"],
    start: _State,
    *,
    tol: float,
    max_iter: int,
) -> _Solutions:
    """The probes, each as it was at the first check that found it within tol * lam.

    Every few steps all unfinished probes are checked. A strength leaves the computation
    when its probes are done at all sites. Sites leave it together, when at least half
    of those that are left are done. A probe stays as it was when it was done, so it
    does not depend on the other probes of its batch.
    """
    s, c = (torch.arange(size, device=lams.device) for size in lams.shape)
    work = _Work(s, c, batch, curve, lams, start, start, torch.ones_like(lams))
    solved = _Solutions(start.W.clone(), start.b.clone(), torch.zeros_like(lams).long())
    done = torch.zeros_like(lams, dtype=torch.bool)
    for step in range(max_iter + 1):
        if step % _CHECK_STEPS == 0 or step == max_iter:
            at = work.s[:, None], work.c
            was_done = done[at]
            for solution, new in zip(solved[:2], work.now[:2], strict=True):
                shape = was_done.shape + (1,) * (new.ndim - 2)
                solution[at] = torch.where(was_done.view(shape), solution[at], new)
            solved.n_iter[at] = torch.where(was_done, solved.n_iter[at], step)
            done[at] = was_done | _converged(work, tol)
            if bool(done.all()):
                break
            work = _unfinished(work, done[at])
        if step < max_iter:
            work = _step(work)
    return solved


def _unfinished(work: _Work, done: Bool[Tensor, "site C"]) -> _Work:
    s, c = (~done.all(dim=axis) for axis in (1, 0))
    if 2 * int(s.sum()) > len(s):
        s = torch.ones_like(s)
    if bool(s.all()) and bool(c.all()):
        return work
    return work.only(s.nonzero()[:, 0], c.nonzero()[:, 0])


def _step(work: _Work) -> _Work:
    """One proximal step from the extrapolated point; it restarts on turning back."""
    _, _, batch, curve, lams, now, before, t = work
    after = (1 + (1 + 4 * t**2).sqrt()) / 2
    beta = (t - 1) / after
    V = _State(*(_extrapolate(*pair, beta) for pair in zip(now, before, strict=True)))
    R = _residual(batch, V.Z)
    size = curve.W[:, :, None, None]
    U = V.W - _gradient(batch, R) / size
    W = _prox(U, lams[..., None, None] / size, batch.shared)
    b = V.b - R.sum(dim=3) / curve.b[:, :, None]
    back = curve.W * ((V.W - W) * (W - now.W)).sum(dim=(2, 3))
    back = back + curve.b * ((V.b - b) * (b - now.b)).sum(dim=2)
    t = torch.where(back > 0, 1.0, after)
    new = _State(W, b, _logits(batch, W, b))
    return work._replace(now=new, before=now, t=t)


def _extrapolate(now: Tensor, before: Tensor, beta: Float[Tensor, "site C"]) -> Tensor:
    return torch.lerp(before, now, 1 + beta.view(*beta.shape, *[1] * (now.ndim - 2)))


def _converged(work: _Work, tol: float) -> Bool[Tensor, "site C"]:
    """Which probes violate optimality by no more than tol * lam.

    An intercept may violate it by a tenth of that. The rounding of an intercept's
    gradient does not count: with tiny strengths no probe would ever be done.
    """
    R = _residual(work.batch, work.now.Z)
    G = _gradient(work.batch, R)
    far = _distance(work.now.W, G, work.lams, shared=work.batch.shared)
    slack = torch.finfo(R.dtype).eps * work.batch.weight.sum()
    tilt = 10 * (R.sum(dim=3).abs().amax(dim=2) - slack).clamp(min=0)
    return torch.maximum(far, tilt) <= tol * work.lams


def _logits(batch: _Batch, W: Tensor, b: Tensor) -> Float[Tensor, "site C rows n"]:
    return (W.flatten(1, 2) @ batch.X).view(*b.shape, -1) + b[..., None]


def _proba(Z: Float[Tensor, "site C rows n"]) -> Float[Tensor, "site C rows n"]:
    return Z.sigmoid() if Z.shape[2] == 1 else Z.softmax(dim=2)


def _residual(batch: _Batch, Z: Tensor) -> Float[Tensor, "site C rows n"]:
    return (_proba(Z) - batch.one_hot) * batch.weight


def _gradient(batch: _Batch, R: Tensor) -> Float[Tensor, "site C rows d_feat"]:
    return (R.flatten(1, 2) @ batch.X.mT).view(*R.shape[:3], -1)


def _prox(U: Tensor, step: Tensor, shared: bool) -> Tensor:
    """Soft thresholding of each coefficient, or of whole columns if they are shared."""
    if not shared:
        return U - U.clamp(-step, step)
    norms = U.norm(dim=2, keepdim=True)
    return U * (norms - step).clamp(min=0) / norms.clamp(min=1e-30)


def _distance(
    W: Tensor, G: Tensor, lams: Tensor, *, shared: bool
) -> Float[Tensor, "site C"]:
    """The largest distance of -G to the subdifferential of lam * penalty at W."""
    lam = lams[..., None, None]
    if shared:
        norms = W.norm(dim=2, keepdim=True)
        off = G.norm(dim=2, keepdim=True) - lam
        on = (G + lam * W / norms.clamp(min=1e-30)).norm(dim=2, keepdim=True)
        return torch.where(norms > 0, on, off.clamp(min=0)).amax(dim=(2, 3))
    off, on = (G.abs() - lam).clamp(min=0), (G + lam * W.sign()).abs()
    return torch.where(W == 0, off, on).amax(dim=(2, 3))


def _dual_norm(G: Tensor, shared: bool) -> Float[Tensor, "site C"]:
    return (G.norm(dim=2) if shared else G.abs().amax(dim=2)).amax(dim=2)


def _certify(
    batch: _Batch, solutions: _Solutions, lams: Float[Tensor, "site C"]
) -> tuple[Tensor, Tensor, Tensor]:
    """Objective, duality gap relative to it, and violation relative to lam."""
    W = solutions.W
    Z = _logits(batch, W, solutions.b)
    G = _gradient(batch, _residual(batch, Z))
    sizes = W.norm(dim=2) if batch.shared else W.abs().sum(dim=2)
    penalty = sizes.sum(dim=2, dtype=torch.float64)
    primal = _loss(batch, Z) + lams * penalty
    scale = (lams / _dual_norm(G, batch.shared).clamp(min=1e-30)).clamp(max=1)
    dual = _dual(batch, Z, scale[..., None, None])
    gap = (primal - dual).clamp(min=0) / primal.clamp(min=1e-30)
    kkt = _distance(W, G, lams, shared=batch.shared) / lams
    return primal / lams, gap, kkt


def _loss(batch: _Batch, Z: Tensor) -> Float[Tensor, "site C"]:
    """sum_i w_i * log-loss_i, added up in float64."""
    if Z.shape[2] == 1:
        each = torch.nn.functional.softplus(Z * (1 - 2 * batch.one_hot))[:, :, 0]
    else:
        each = Z.logsumexp(dim=2) - (Z * batch.one_hot).sum(dim=2)
    return (each * batch.weight).sum(dim=2, dtype=torch.float64)


def _dual(batch: _Batch, Z: Tensor, scale: Tensor) -> Float[Tensor, "site C"]:
    """The lower bound that `losses.dual_value` gives."""
    mixed = scale * _proba(Z) + (1 - scale) * batch.one_hot
    entropy = torch.special.entr(mixed).sum(dim=2)
    if Z.shape[2] == 1:
        entropy = entropy + torch.special.entr(1 - mixed[:, :, 0])
    return (entropy * batch.weight).sum(dim=2, dtype=torch.float64)


def _path(problem: Problem, probes: _Probes) -> Path:
    """The site's probes as K rows, with their objective, gap and violation."""
    b = probes.b.astype(float)
    rows = [problem.all_rows(*rows_of_C) for rows_of_C in zip(probes.W, b, strict=True)]
    coef = np.stack([W for W, _ in rows])
    return Path(
        Cs=problem.row_factor / probes.lams.astype(float),
        coef=coef,
        intercept=np.stack([b for _, b in rows]),
        objective=probes.objective * problem.row_factor,
        gap=probes.gap,
        kkt=probes.kkt,
        n_iter=probes.n_iter,
        nonzeros=coef.any(axis=1).sum(axis=1),
        mean=problem.mean,
        sd=problem.sd,
        score=np.full(len(probes.lams), np.nan),
    )
