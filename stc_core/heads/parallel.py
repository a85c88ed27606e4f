"""Several small solves at once: each in a thread of its own, with one BLAS thread."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

MOST_AT_ONCE = 8
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def cores() -> int:
    """The number of processors that this process may use; all if that is unknown."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def at_once(n: int, n_cores: int) -> int:
    """How many of n items `in_threads` works on at a time, on so many cores."""
    return max(1, min(MOST_AT_ONCE, n_cores, n))


def in_threads(
    job: Callable[[_Item], _Result], items: Sequence[_Item]
) -> list[_Result]:
    """What `job` gives for each item, in their order; `at_once` are in work at a time.

    A factorisation of a small matrix gains little from several threads; several of them
    at once do. As each has one thread of BLAS, the results do not depend on the number
    of cores.
    """
    workers = at_once(len(items), cores())
    with threadpool_limits(1, "blas"):
        if workers == 1:
            return [job(item) for item in items]
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(job, items))
