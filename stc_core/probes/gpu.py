"""The probes of many pooled sites on one device, as many at a time as it has room for.

Sites are read and standardised by threads of the host, then solved by fista.py.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from stc_core.activations.forward import ahead
from stc_core.data.task import Read, Task
from stc_core.probes.fista import (
    Posed,
    fit_paths,
    room,
    site_bytes,
    solves,
    upload,
)
from stc_core.probes.penalties import Name, get_penalty
from stc_core.probes.problem import Problem, Solved, pose
from stc_core.probes.solver import stopped
from stc_core.types import PooledSite

__all__ = ["solves", "sweep"]
HOST_THREADS = 4


class _Read(NamedTuple):
    """A site as the host has it, or as the device does."""

    pooled_site: PooledSite
    problem: Problem | Posed
    X_val: Float[np.ndarray, "n_val width"]


def sweep(
    read: Read,
    task: Task,
    pooled_sites: Sequence[PooledSite],
    *,
    device: str,
    penalty: Name,
    tol: float,
    patience: int,
) -> Iterator[Solved]:
    """Paths as `fit_path` gives them with the validation rows, in any order.

    Only those that met `tol`; a site for which the device has no room is left out.
    """

    def posed(site: PooledSite) -> _Read:
        X = read(site)
        problem = pose(
            X[task.train],
            task.codes[task.train],
            get_penalty(penalty),
            n_class=len(task.classes),
            class_weight=task.class_weight,
            sample_weight=None,
        )
        return _Read(site, problem, np.asarray(X[task.validation], np.float32))

    with closing(ahead(posed, pooled_sites, workers=HOST_THREADS)) as sites:
        yield from _solved(sites, task, device=device, tol=tol, patience=patience)


def _solved(
    sites: Iterable[_Read], task: Task, *, device: str, tol: float, patience: int
) -> Iterator[Solved]:
    y_val = task.codes[task.validation]
    for batch in _batches(sites, device):
        for site, path, X_val in _solve(batch, tol):
            path = stopped(path, X_val, y_val, patience=patience)
            if path.kkt.max() <= tol:
                yield Solved(site, path, X_val)
        batch.clear()  # or it would keep its room while the next one comes


def _batches(sites: Iterable[_Read], device: str) -> Iterator[list[_Read]]:
    """Sites of equal width, on the device; together they fit into it."""
    groups: dict[int, list[_Read]] = {}
    used, most = 0, room(device)
    for one in sites:
        assert isinstance(one.problem, Problem)
        need = site_bytes(one.problem)
        if need > most:
            continue
        if used + need > most:
            while groups:
                yield groups.popitem()[1]
            used = 0
        used += need
        width = len(one.problem.XT)
        on_device = one._replace(problem=upload(one.problem, device))
        groups.setdefault(width, []).append(on_device)
    while groups:
        yield groups.popitem()[1]


def _solve(batch: list[_Read], tol: float) -> Iterator[Solved]:
    """Whole paths; none when the device has run out of memory after all."""
    problems = [one.problem for one in batch if isinstance(one.problem, Posed)]
    try:
        paths = fit_paths(problems, tol=tol)
    except torch.OutOfMemoryError:
        return
    for one, path in zip(batch, paths, strict=True):
        yield Solved(one.pooled_site, path, one.X_val)
