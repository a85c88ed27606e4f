"""Sparse probes: one path of probes for each pooled site, scored on validation."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from stc_core.data.goal import ACCURATE, Goal
from stc_core.data.task import Read, Task
from stc_core.heads.least_squares import importance
from stc_core.heads.parallel import cores
from stc_core.metrics.scores import accuracy, first_best, macro_f1
from stc_core.probes.penalties import PenaltyName, get_penalty
from stc_core.probes.problem import SolvedSite
from stc_core.probes.solver import Path, fit_path
from stc_core.types import PooledSite, Progress, silent

MOST_THREADS = 4
"""With more workers than this, each worker is a process of its own."""
GPU_CELLS = 300_000_000
"""From so many rows x features x classes on a GPU is used. An estimate, not measured.
"""


class ProbeResult(NamedTuple):
    """The path of one pooled site and its scores on the validation rows, for each C.

    `val_score` is that of the goal, by which `best` is chosen. `val_guesses` are the
    class codes that each probe gives to these rows.
    """

    pooled_site: PooledSite
    path: Path
    val_accuracy: Float[np.ndarray, " n_C"]
    val_macro_f1: Float[np.ndarray, " n_C"]
    val_score: Float[np.ndarray, " n_C"]
    best: int
    val_guesses: Shaped[np.ndarray, "n_C n_val"]

    @property
    def importance(self) -> Float[np.ndarray, " width"]:
        """The importance of each feature in the best probe: sum of w^2 over classes."""
        return importance(self.path.coef[self.best])

    @property
    def accuracy(self) -> float:
        """The accuracy of the best probe on the validation rows."""
        return float(self.val_accuracy[self.best])

    @property
    def macro_f1(self) -> float:
        """The macro-F1 of the best probe on the validation rows."""
        return float(self.val_macro_f1[self.best])


def fit_probes(
    read: Read,
    y: Shaped[np.ndarray, " n"],
    train: Int[np.ndarray, " n_train"],
    validation: Int[np.ndarray, " n_val"],
    *,
    pooled_sites: Sequence[PooledSite],
    penalty: PenaltyName = "l1",
    goal: Goal = ACCURATE,
    Cs: Float[np.ndarray, " n_C"] | None = None,
    tol: float = 0.1,
    patience: int = 2,
    threads: int | None = None,
    device: str = "cpu",
    progress: Progress = silent,
    on_result: Callable[[ProbeResult], None] | None = None,
) -> list[ProbeResult]:
    """One result for each pooled site, in the order given.

    `on_result` is called with each result as soon as it is there, in any order.

    `read` gives the features of all rows of `y`; train and validation are positions.
    Classes are numbered by sorted label over all of y. `best` is the C of the highest
    validation score by the goal, the strongest penalty on a tie.
    The result does not depend on the number of workers: each site is one job, and BLAS
    uses one thread meanwhile. If there are more than MOST_THREADS workers they are
    processes, since threads would wait for the interpreter's lock.

    If `device` is a CUDA device, large jobs are solved there, many sites at once,
    unless `Cs` are given, which may be too weak for that solver, or the solver cannot
    minimise the penalty. Sites that miss `tol` there are solved again on the CPU.
    """
    classes, codes = np.unique(y, return_inverse=True)
    task = Task(codes, tuple(map(str, classes)), train, validation, goal)
    options: dict[str, Any] = {"penalty": penalty, "tol": tol, "patience": patience}
    solve = partial(_iter_results, read, task, pooled_sites, Cs=Cs, options=options)
    results: dict[PooledSite, ProbeResult] = {}
    with threadpool_limits(1, "blas"):
        for result in solve(threads=threads, device=device):
            results[result.pooled_site] = result
            progress(len(results), len(pooled_sites))
            if on_result is not None:
                on_result(result)
    return [results[pooled_site] for pooled_site in pooled_sites]


def _iter_results(
    read: Read,
    task: Task,
    pooled_sites: Sequence[PooledSite],
    *,
    Cs: Float[np.ndarray, " n_C"] | None,
    options: dict[str, Any],
    threads: int | None,
    device: str,
) -> Iterator[ProbeResult]:
    """The results of all sites, in the order in which they are done."""

    def job(pooled_site: PooledSite) -> ProbeResult:
        return _score(_solve(read, task, pooled_site, Cs=Cs, **options), task)

    solved: set[PooledSite] = set()
    on_gpu = Cs is None and device.startswith("cuda")
    if on_gpu and _is_worth_gpu(read, task, pooled_sites):
        from stc_core.probes import gpu

        if gpu.solves(get_penalty(options["penalty"])):
            for site in gpu.solve_sites(
                read, task, pooled_sites, device=device, **options
            ):
                solved.add(site.pooled_site)
                yield _score(site, task)
    remaining = [site for site in pooled_sites if site not in solved]
    workers = max(1, min(threads or cores(), len(remaining)))
    backend = "threading" if workers <= MOST_THREADS else "loky"
    parallel = Parallel(workers, backend=backend, return_as="generator_unordered")
    # A worker process has its own BLAS, which the caller's limit does not reach.
    work = job if backend == "threading" else _one_thread(job)
    for result in parallel(delayed(work)(site) for site in remaining):
        assert isinstance(result, ProbeResult)
        yield result


def _one_thread(
    job: Callable[[PooledSite], ProbeResult],
) -> Callable[[PooledSite], ProbeResult]:
    """The same job with BLAS limited to one thread, for a process of its own."""

    def limited(pooled_site: PooledSite) -> ProbeResult:
        with threadpool_limits(1, "blas"):
            return job(pooled_site)

    return limited


def _is_worth_gpu(read: Read, task: Task, pooled_sites: Sequence[PooledSite]) -> bool:
    """Whether a GPU pays off, if all sites are as wide as the first."""
    cells = len(task.train) * len(task.classes) * len(pooled_sites)
    return cells > 0 and cells * read(pooled_sites[0]).shape[1] >= GPU_CELLS


def _solve(
    read: Read,
    task: Task,
    pooled_site: PooledSite,
    *,
    Cs: Float[np.ndarray, " n_C"] | None,
    penalty: PenaltyName,
    tol: float,
    patience: int,
) -> SolvedSite:
    X = read(pooled_site)
    X_val = np.asarray(X[task.validation], np.float32)
    path = fit_path(
        X[task.train],
        task.codes[task.train],
        penalty=penalty,
        Cs=Cs,
        class_weight=task.class_weights(task.train),
        n_class=len(task.classes),
        tol=tol,
        X_val=X_val,
        y_val=task.codes[task.validation],
        patience=patience,
    )
    return SolvedSite(pooled_site, path, X_val)


def _score(solved: SolvedSite, task: Task) -> ProbeResult:
    """The path with its scores on the validation rows, and the best C by them."""
    site, path, X_val = solved
    y_val = task.codes[task.validation]
    logits = [path.logits(X_val, i) for i in range(len(path.Cs))]
    guesses = [of_path.argmax(axis=1) for of_path in logits]
    accuracies = np.array([accuracy(y_val, guess) for guess in guesses])
    f1s = np.array([macro_f1(y_val, guess) for guess in guesses])
    scores = np.array([task.score(task.validation, of_path) for of_path in logits])
    best = first_best(scores)
    held = np.array(guesses).astype(np.min_scalar_type(len(task.classes)))
    return ProbeResult(site, path, accuracies, f1s, scores, best, held)
