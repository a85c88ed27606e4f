"""A probe problem (standardised features, weights, codes) and its solved path.

The solver works on the classes that have examples; a Path always has all classes.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.errors import StcError
from stc_core.heads.head import is_flat
from stc_core.probes import losses
from stc_core.probes.losses import Target
from stc_core.probes.penalties import Penalty
from stc_core.types import PooledSite

STRIP = 16  # examples or features handled at a time, so that they stay in cache
DEVIATIONS = 8.0  # times the usual rounding of a sum: more was never seen


class Path(NamedTuple):
    """Probes for growing C on the standardised scale, always with K rows of weights.

    For two classes the rows are (-w/2, w/2), so that softmax, L1 norm and objective
    equal those of the one-row model w. `objective` is C * loss + penalty, `gap` the
    duality gap relative to it, `kkt` the largest violation of optimality relative to 1
    / C. `score` is the validation accuracy (nan without validation data).
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


class SolvedSite(NamedTuple):
    """The path of a pooled site, and its features on the validation rows."""

    pooled_site: PooledSite
    path: Path
    X_val: Float[np.ndarray, "n_val width"]


class Problem(NamedTuple):
    """Standardised features (d_feat, n) and target, for the classes with examples."""

    XT: Float[np.ndarray, "d_feat n"]
    mean: Float[np.ndarray, " d_feat"]
    sd: Float[np.ndarray, " d_feat"]
    target: Target
    penalty: Penalty
    present: Int[np.ndarray, " n_present"]
    n_class: int

    @property
    def row_factor(self) -> float:
        """The penalty of the rows solved for, divided by that of the K rows."""
        return self.penalty.one_row if self.target.rows == 1 else 1.0

    def all_rows(
        self, W: Float[np.ndarray, "rows d_feat"], b: Float[np.ndarray, " rows"]
    ) -> tuple[Float[np.ndarray, "n_class d_feat"], Float[np.ndarray, " n_class"]]:
        """Coefficients and intercepts of every class.

        A class without examples has coefficients of 0, and the intercept that it would
        have with half an example.
        """
        if self.target.rows == 1:
            W, b = np.concatenate([-W / 2, W / 2]), np.concatenate([-b / 2, b / 2])
        mass = np.bincount(self.target.codes, self.target.weight)
        absent_intercept = np.log(0.5 / mass.sum()) - np.log(mass / mass.sum()).mean()
        coef = np.zeros((self.n_class, W.shape[1]), W.dtype)
        intercept = np.full(self.n_class, absent_intercept)
        coef[self.present], intercept[self.present] = W, b
        return coef, intercept


def pose_problem(
    X: Float[np.ndarray, "n d_feat"],
    y: Int[np.ndarray, " n"],
    penalty: Penalty,
    *,
    n_class: int | None,
    class_weight: str | Float[np.ndarray, " n_class"] | None,
    sample_weight: Float[np.ndarray, " n"] | None,
) -> Problem:
    """The problem of these features: standardised, with weights and codes without gaps.

    Sample weights count in means and standard deviations, class weights do not.
    StcError if fewer than 2 classes have a positive weight, or if a feature is not
    finite.
    """
    n_class = int(y.max()) + 1 if n_class is None else n_class
    weight = np.ones(len(y)) if sample_weight is None else sample_weight.astype(float)
    mass = np.bincount(y, weight, n_class)
    present = np.flatnonzero(mass > 0)
    if len(present) < 2:
        raise StcError(
            "fit_path",
            expected="examples of at least 2 classes with a positive weight",
            got=f"{len(present)} class",
        )
    XT, mean, sd = standardise(X, weight)
    if isinstance(class_weight, str):
        weight = weight * (mass.sum() / (len(present) * np.maximum(mass, 1e-300)))[y]
    elif class_weight is not None:
        weight = weight * class_weight[y]
    recode = np.zeros(n_class, int)
    recode[present] = np.arange(len(present))
    target = Target(recode[y], weight.astype(XT.dtype), len(present))
    return Problem(XT, mean, sd, target, penalty, present, n_class)


def rounding_limit(problem: Problem) -> float:
    """The largest dual norm that rounding gives to a gradient which is exactly zero.

    A strength that is no larger means nothing: no feature tells the classes apart.

    Without coefficients the gradient of feature j in the logits of class k is the sum
    of n products r_i x_i, with r_i = w_i (p_k - y_ik). Each factor, product and partial
    sum is rounded up or down, by at most u = eps / 2 of its size. In whatever order and
    in however many parts a processor adds, these errors come to about sqrt(n) u sum
    |r_i x_i|, and it is all but impossible that a sum exceeds DEVIATIONS times that
    (Higham & Mary 2019, theorem 2.4). By Cauchy and Schwarz, and since the features are
    standardised, sum |r_i x_i| <= W sqrt(p_k (1 - p_k)), where W is the sum of the
    weights.

    Labels that have nothing to do with a feature give a larger gradient by chance: with
    weights of 1 about sqrt(n p_k (1 - p_k)), that is, larger by the factor 1 /
    (DEVIATIONS n u). In float32 this is more than 2 for up to a million examples.
    """
    target = problem.target
    mass = np.bincount(target.codes, target.weight, target.n_class)
    p = (
        mass[-target.rows :] / mass.sum()
    )  # for two classes the one row is the second class
    unit = 0.5 * float(np.finfo(problem.XT.dtype).eps)
    size = problem.penalty.dual_norm(np.sqrt(p * (1 - p))[:, None])
    return DEVIATIONS * len(target.codes) ** 0.5 * unit * float(mass.sum()) * size


def null_path(
    problem: Problem,
    Cs: Float[np.ndarray, " n_C"] | None = None,
    *,
    n_C: int = 9,
    lambda_ratio: float = 0.035,
) -> Path:
    """The path of a problem in which no feature tells the classes apart.

    Every probe has the class shares as intercepts and no coefficients, which is its
    optimum at any C. Without `Cs` the strengths 1 / C fall to `rounding_limit`. The
    result is the same, bit for bit, for every solver and on every processor.
    """
    if Cs is None:
        lams = rounding_limit(problem) * np.geomspace(1 / lambda_ratio, 1, n_C)
        Cs = problem.row_factor / lams
    b = losses.null_intercept(problem.target)
    zeros = np.zeros((len(b), len(problem.mean)), problem.XT.dtype)
    coef, intercept = problem.all_rows(zeros, b)
    n_C = len(Cs)
    return Path(
        Cs=Cs,
        coef=np.repeat(coef[None], n_C, axis=0),
        intercept=np.repeat(intercept[None], n_C, axis=0),
        objective=Cs * losses.null_loss(problem.target),
        gap=np.zeros(n_C),
        kkt=np.zeros(n_C),
        n_iter=np.zeros(n_C, int),
        nonzeros=np.zeros(n_C, int),
        mean=problem.mean,
        sd=problem.sd,
        score=np.full(n_C, np.nan),
    )


def standardise(
    X: Float[np.ndarray, "n d_feat"],
    weight: Float[np.ndarray, " n"] | None = None,
) -> tuple[
    Float[np.ndarray, "d_feat n"],
    Float[np.ndarray, " d_feat"],
    Float[np.ndarray, " d_feat"],
]:
    """A standardised copy with a row for each feature; means; standard deviations.

    A column that does not vary becomes zeros, with a standard deviation of 1. A weight
    counts an example that many times. float64 stays float64; everything else becomes
    float32. StcError if a feature is not finite.
    """
    dtype = np.float64 if X.dtype == np.float64 else np.float32
    n, d = X.shape
    XT = np.empty((d, n), dtype)
    for start in range(0, n, STRIP):
        XT[:, start : start + STRIP] = X[start : start + STRIP].T
    share = np.full(n, 1 / n) if weight is None else weight / weight.sum()
    share = share.astype(dtype)
    mean, sd = np.empty(d), np.empty(d)
    for start in range(0, d, STRIP):
        part = slice(start, start + STRIP)
        mean[part], sd[part] = _standardise_rows(XT[part], share)
    not_finite = np.flatnonzero(~np.isfinite(mean + sd))
    if len(not_finite):
        raise StcError(
            f"feature {not_finite[0]}",
            expected="finite values",
            got=f"NaN or infinity, as in {len(not_finite) - 1} other features",
        )
    return XT, mean, sd


def _standardise_rows(
    rows: np.ndarray, share: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Standardise the rows in place; return their means and standard deviations."""
    mean = np.zeros(len(rows))
    for _ in range(2):  # the second round removes what rounding left
        residual_mean = rows @ share
        rows -= residual_mean[:, None]
        mean += residual_mean
    sd = np.sqrt(np.square(rows) @ share).astype(np.float64)
    flat = is_flat(mean, sd, rows.dtype)
    sd[flat] = 1
    rows *= (1 / sd).astype(rows.dtype)[:, None]
    rows[flat] = 0
    return mean, sd
