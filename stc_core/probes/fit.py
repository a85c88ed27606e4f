"""Sparse probes: one scikit-learn estimator, and one probe for each pooled site."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from stc_core.data.task import Read, Task
from stc_core.heads.least_squares import importance
from stc_core.metrics.scores import accuracy, first_best, macro_f1
from stc_core.probes.penalties import Name, get_penalty
from stc_core.probes.problem import Solved
from stc_core.probes.solver import Path, fit_path
from stc_core.types import PooledSite, Progress, silent

MOST_THREADS = 4
"""With more workers, each is a process of its own."""
GPU_CELLS = 300_000_000
"""Rows x features x classes from which on a GPU solves; not measured, an estimate."""


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
    `Cs` are given, which may be too weak for that, or the penalty is one that the GPU
    does not solve; what misses `tol` is solved anew.
    """
    classes, codes = np.unique(y, return_inverse=True)
    task = Task(codes, tuple(map(str, classes)), train, validation, class_weight)
    goal: dict[str, Any] = {"penalty": penalty, "tol": tol, "patience": patience}
    results: dict[PooledSite, ProbeResult] = {}

    def job(pooled_site: PooledSite) -> ProbeResult:
        return _score(_solve(read, task, pooled_site, Cs=Cs, **goal), task)

    def found() -> Iterator[ProbeResult]:
        if Cs is None and device.startswith("cuda") and _many(read, task, pooled_sites):
            from stc_core.probes import gpu

            if gpu.solves(get_penalty(penalty)):
                for solved in gpu.sweep(
                    read, task, pooled_sites, device=device, **goal
                ):
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
