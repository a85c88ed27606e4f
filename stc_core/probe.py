"""Sparse probes: one scikit-learn estimator, and one probe for each pooled site."""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)
from threadpoolctl import threadpool_limits

from stc_core.axes import PooledSite, Progress, silent
from stc_core.errors import StcError
from stc_core.metrics import accuracy, macro_f1
from stc_core.penalties import Name
from stc_core.problem import Solved
from stc_core.select import first_best, importance
from stc_core.solver import Path, fit_path
from stc_core.task import Read, Task

MOST_THREADS = 4
"""With more workers, each is a process of its own."""
GPU_CELLS = 300_000_000
"""Rows x features x classes from which on a GPU solves; not measured, an estimate."""


class SparseProbe(ClassifierMixin, BaseEstimator):
    """Multinomial logistic regression, sparse on standardised features.

    Minimises C * sum_i w_i log-loss_i + penalty(W), with W on the standardised scale
    and free intercepts; `coef_` and `intercept_` apply to raw features, one row for
    two classes as in scikit-learn. `dual_gap_` is relative to the objective, `kkt_` the
    largest violation of optimality relative to 1 / C; a ConvergenceWarning is given
    when it stays above `tol`.
    """

    def __init__(
        self, penalty: Any = "l1", *, C=1.0, class_weight=None, tol=1e-4, max_iter=500
    ) -> None:
        self.penalty = penalty
        self.C = C
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter

    def fit(self, X, y, sample_weight=None) -> "SparseProbe":
        """The fitted probe itself."""
        checked = validate_data(self, X, y, dtype=[np.float64, np.float32])
        X, y = np.asarray(checked[0]), np.asarray(checked[1])
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise StcError("SparseProbe", expected="at least 2 classes", got="1 class")
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
        path = fit_path(
            X,
            codes,
            penalty=self.penalty,
            Cs=np.array([self.C], float),
            class_weight=self._class_weights(codes, sample_weight),
            sample_weight=sample_weight,
            n_class=len(self.classes_),
            tol=self.tol,
            max_iter=self.max_iter,
        )
        self._store(path)
        return self

    def _class_weights(self, codes, sample_weight) -> np.ndarray | None:
        if self.class_weight is None:
            return None
        return compute_class_weight(
            self.class_weight,
            classes=self.classes_,
            y=self.classes_[codes],
            sample_weight=sample_weight,
        )

    def _store(self, path: Path) -> None:
        W, b = path.coef[0].astype(np.float64) / path.sd, path.intercept[0]
        b = b - W @ path.mean
        two = len(self.classes_) == 2
        self.coef_ = W[1:] - W[:1] if two else W
        self.intercept_ = b[1:] - b[:1] if two else b
        self.n_iter_ = int(path.n_iter[0])
        self.dual_gap_, self.kkt_ = float(path.gap[0]), float(path.kkt[0])
        if self.kkt_ > self.tol:
            warnings.warn(
                f"SparseProbe stopped after {self.n_iter_} steps at a violation of "
                f"{self.kkt_:.1e} / C (tol {self.tol:.0e}); the objective is within "
                f"{self.dual_gap_:.1e} of the optimum. Raise max_iter or lower C.",
                ConvergenceWarning,
                stacklevel=3,
            )

    def decision_function(self, X) -> Float[np.ndarray, "..."]:
        """Logits; for two classes the logit of the second, (n)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        Z = X @ self.coef_.T + self.intercept_
        return Z[:, 0] if len(self.classes_) == 2 else Z

    def predict(self, X) -> Shaped[np.ndarray, " n"]:
        """The most probable class of each row."""
        Z = self.decision_function(X)
        best = (Z > 0).astype(int) if Z.ndim == 1 else Z.argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, X) -> Float[np.ndarray, "n n_class"]:
        """Probabilities, columns in the order of `classes_`."""
        Z = self.decision_function(X)
        if Z.ndim == 1:
            Z = np.stack([-Z / 2, Z / 2], axis=1)
        P = np.exp(Z - Z.max(axis=1, keepdims=True))
        return P / P.sum(axis=1, keepdims=True)


def cores() -> int:
    """Processors that this process may use; all of them where none can be told."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


class ProbeResult(NamedTuple):
    """The path of one pooled site and its scores on the validation rows, for each C."""

    pooled_site: PooledSite
    path: Path
    val_accuracy: Float[np.ndarray, " n_C"]
    val_macro_f1: Float[np.ndarray, " n_C"]
    best: int

    @property
    def importance(self) -> Float[np.ndarray, " width"]:
        """Of each feature in the best probe: its squared weights, over all classes."""
        return importance(self.path.coef[self.best])

    @property
    def accuracy(self) -> float:
        """Of the best probe, on the validation rows."""
        return float(self.val_accuracy[self.best])

    @property
    def macro_f1(self) -> float:
        """Of the best probe, on the validation rows."""
        return float(self.val_macro_f1[self.best])


def fit_probes(
    read: Read,
    y: Shaped[np.ndarray, " n"],
    train: Int[np.ndarray, " n_train"],
    validation: Int[np.ndarray, " n_val"],
    *,
    pooled_sites: Sequence[PooledSite],
    penalty: Name = "l1",
    class_weight: str | None = None,
    Cs: Float[np.ndarray, " n_C"] | None = None,
    tol: float = 0.1,
    patience: int = 2,
    threads: int | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> list[ProbeResult]:
    """One path for each pooled site, in the order given.

    `read` gives the features of all rows of `y`; train and validation are positions.
    Classes are numbered by sorted label over all of y. `best` is the C of the highest
    validation accuracy (macro-F1 with class weights), the strongest penalty on a tie.
    The result does not depend on the number of workers: each site is one job, and BLAS
    keeps to one thread meanwhile. More than MOST_THREADS workers are processes, since
    threads wait for each other's interpreter.

    On a `device` of the type cuda large sites are solved there, many at once, unless
    `Cs` are given, which may be too weak for that; what misses `tol` is solved anew.
    """
    classes, codes = np.unique(y, return_inverse=True)
    task = Task(codes, tuple(map(str, classes)), train, validation, class_weight)
    goal: dict[str, Any] = {"penalty": penalty, "tol": tol, "patience": patience}
    results: dict[PooledSite, ProbeResult] = {}

    def job(pooled_site: PooledSite) -> ProbeResult:
        return _score(_solve(read, task, pooled_site, Cs=Cs, **goal), task)

    def found() -> Iterator[ProbeResult]:
        if Cs is None and device.startswith("cuda") and _many(read, task, pooled_sites):
            from stc_core.sweep import sweep

            for solved in sweep(read, task, pooled_sites, device=device, **goal):
                yield _score(solved, task)
        left = [site for site in pooled_sites if site not in results]
        workers = max(1, min(threads or cores(), len(left)))
        backend = "threading" if workers <= MOST_THREADS else "loky"
        parallel = Parallel(workers, backend=backend, return_as="generator_unordered")
        # A process of its own has a BLAS of its own.
        work = job if backend == "threading" else _one_thread(job)
        for result in parallel(delayed(work)(site) for site in left):
            assert isinstance(result, ProbeResult)
            yield result

    with threadpool_limits(1, "blas"):
        for result in found():
            results[result.pooled_site] = result
            progress(len(results), len(pooled_sites))
    return [results[pooled_site] for pooled_site in pooled_sites]


def _one_thread(
    job: Callable[[PooledSite], ProbeResult],
) -> Callable[[PooledSite], ProbeResult]:
    def limited(pooled_site: PooledSite) -> ProbeResult:
        with threadpool_limits(1, "blas"):
            return job(pooled_site)

    return limited


def _many(read: Read, task: Task, pooled_sites: Sequence[PooledSite]) -> bool:
    """Whether a GPU is worth its while, if all sites are as wide as the first."""
    cells = len(task.train) * len(task.classes) * len(pooled_sites)
    return cells > 0 and cells * read(pooled_sites[0]).shape[1] >= GPU_CELLS


def _solve(
    read: Read,
    task: Task,
    pooled_site: PooledSite,
    *,
    Cs: Float[np.ndarray, " n_C"] | None,
    penalty: Name,
    tol: float,
    patience: int,
) -> Solved:
    X = read(pooled_site)
    X_val = np.asarray(X[task.validation], np.float32)
    path = fit_path(
        X[task.train],
        task.codes[task.train],
        penalty=penalty,
        Cs=Cs,
        class_weight=task.class_weight,
        n_class=len(task.classes),
        tol=tol,
        X_val=X_val,
        y_val=task.codes[task.validation],
        patience=patience,
    )
    return Solved(pooled_site, path, X_val)


def _score(solved: Solved, task: Task) -> ProbeResult:
    site, path, X_val = solved
    y_val = task.codes[task.validation]
    guesses = [path.logits(X_val, i).argmax(axis=1) for i in range(len(path.Cs))]
    right = np.array([accuracy(y_val, guess) for guess in guesses])
    f1 = np.array([macro_f1(y_val, guess) for guess in guesses])
    best = first_best(right if task.class_weight is None else f1)
    return ProbeResult(site, path, right, f1, best)
