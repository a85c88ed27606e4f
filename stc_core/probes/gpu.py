"""The probes of many pooled sites on one device, as many at a time as fit into it.

Threads of the host read and standardise the sites; fista.py solves them.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from stc_core.activations.forward import map_ahead
from stc_core.data.task import Read, Task
from stc_core.probes.device import DeviceProblem, site_bytes, upload, usable_bytes
from stc_core.probes.early_stopping import EarlyStopping
from stc_core.probes.fista import fit_paths, solves
from stc_core.probes.penalties import PenaltyName, get_penalty
from stc_core.probes.problem import Problem, SolvedSite, pose_problem
from stc_core.types import PooledSite

__all__ = ["solve_sites", "solves"]
HOST_THREADS = 4


class _SiteFeatures(NamedTuple):
    """The features of a pooled site, on the host or on the device."""

    pooled_site: PooledSite
    problem: Problem | DeviceProblem
    X_val: Float[np.ndarray, "n_val width"]


def solve_sites(
    read: Read,
    task: Task,
    pooled_sites: Sequence[PooledSite],
    *,
    device: str,
    penalty: PenaltyName,
    tol: float,
    patience: int,
) -> Iterator[SolvedSite]:
    """Yield paths like those of `fit_path` with validation rows, in any order.

    Sites whose probes did not all meet `tol` are left out, and sites for which the
    device has no memory.
    """

    def read_problem(site: PooledSite) -> _SiteFeatures:
        X = read(site)
        problem = pose_problem(
            X[task.train],
            task.codes[task.train],
            get_penalty(penalty),
            n_class=len(task.classes),
            class_weight=task.class_weights(task.train),
            sample_weight=None,
        )
        return _SiteFeatures(site, problem, np.asarray(X[task.validation], np.float32))

    with closing(map_ahead(read_problem, pooled_sites, workers=HOST_THREADS)) as sites:
        yield from _solve_all(sites, task, device=device, tol=tol, patience=patience)


def _solve_all(
    sites: Iterable[_SiteFeatures],
    task: Task,
    *,
    device: str,
    tol: float,
    patience: int,
) -> Iterator[SolvedSite]:
    """Yield the paths that met `tol`, ended early by the validation rows."""
    y_val = task.codes[task.validation]
    for batch in _batches(sites, device):
        for site, path, X_val in _solve(batch, tol):
            path = EarlyStopping(X_val, y_val, patience=patience).cut(path)
            if path.kkt.max() <= tol:
                yield SolvedSite(site, path, X_val)
        batch.clear()  # frees the device's memory before the next batch comes


def _batches(
    sites: Iterable[_SiteFeatures], device: str
) -> Iterator[list[_SiteFeatures]]:
    """Batches of sites of equal width, on the device, as large as its memory allows."""
    groups: dict[int, list[_SiteFeatures]] = {}
    used, limit = 0, usable_bytes(device)
    for site in sites:
        assert isinstance(site.problem, Problem)
        needed = site_bytes(site.problem)
        if needed > limit:
            continue
        if used + needed > limit:
            while groups:
                yield groups.popitem()[1]
            used = 0
        used += needed
        width = len(site.problem.XT)
        on_device = site._replace(problem=upload(site.problem, device))
        groups.setdefault(width, []).append(on_device)
    while groups:
        yield groups.popitem()[1]


def _solve(batch: list[_SiteFeatures], tol: float) -> Iterator[SolvedSite]:
    """The whole path of each site; nothing if the device runs out of memory."""
    problems = [
        site.problem for site in batch if isinstance(site.problem, DeviceProblem)
    ]
    try:
        paths = fit_paths(problems, tol=tol)
    except torch.OutOfMemoryError:
        return
    for site, path in zip(batch, paths, strict=True):
        yield SolvedSite(site.pooled_site, path, site.X_val)
