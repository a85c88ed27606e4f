"""The engine of one machine: shards in this process, or in several processes."""

import os
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context, parent_process
from types import ModuleType

from stc_core.engine.shard_store import ShardStore
from stc_core.engine.shard_worker import ShardWorker
from stc_core.engine.shards import DoShards, FinishedShard, Shard, ShardWork
from stc_core.errors import StcError

QUEUED = 2
"""The shards that each worker has at a time: the one it does, and the next."""
MOST_DEATHS = 3
"""So often may processes die before the work is given up."""
_worker: ShardWorker | None = None
"""The worker of this process, if it is one of a pool."""


def fill_here(
    work: ShardWork, shards: Iterable[Shard], store: ShardStore, *, workers: int
) -> Iterator[FinishedShard]:
    """Do the shards with so many processes, and yield each that is finished."""
    with workers_here(work, store, workers=workers) as do:
        yield from do(shards)


@contextmanager
def workers_here(
    work: ShardWork, store: ShardStore, *, workers: int
) -> Iterator[DoShards]:
    """Inside, workers of this machine do the shards of one call after another."""
    if workers == 1:
        worker = ShardWorker(work, store)
        yield lambda shards: map(worker.do, shards)
        return
    pool = _Pool(work, store, workers)
    try:
        yield pool.do
    finally:
        pool.close()


class _Pool:
    """Processes that do shards; others take the place of those that die."""

    def __init__(self, work: ShardWork, store: ShardStore, workers: int) -> None:
        self._given, self._workers = (work, store), workers
        self._processes: ProcessPoolExecutor | None = None

    def do(self, shards: Iterable[Shard]) -> Iterator[FinishedShard]:
        """Yield each shard that is finished; StcError after many deaths."""
        remaining, again = iter(shards), list[Shard]()
        for _ in range(MOST_DEATHS + 1):
            try:
                yield from self._attempt(remaining, again)
            except BrokenProcessPool:
                self.close()
                continue
            return
        raise StcError(
            "worker processes",
            expected="processes that live until their shard is done",
            got=f"{MOST_DEATHS + 1} deaths, the last one during shards "
            + ", ".join(str(shard.number) for shard in again),
            remedy="Most often the memory is too small: use fewer --workers.",
        )

    def close(self) -> None:
        """End the processes; shards that have not begun are not done."""
        if self._processes is not None:
            self._processes.shutdown(cancel_futures=True)
            self._processes = None

    def _attempt(
        self, remaining: Iterator[Shard], again: list[Shard]
    ) -> Iterator[FinishedShard]:
        """Do the shards `again` and then the remaining ones.

        If a process dies, `again` has the shards that were begun.
        """
        begun: dict[Future[FinishedShard], Shard] = {}
        try:
            while True:
                free = self._workers * QUEUED - len(begun)
                again.extend(islice(remaining, max(0, free - len(again))))
                for shard in again[:free]:
                    with _main_hidden():
                        future = self._open().submit(_do_shard, shard)
                    begun[future] = shard
                    again.remove(shard)
                if not begun:
                    return
                for future in wait(begun, return_when=FIRST_COMPLETED).done:
                    finished = future.result()
                    del begun[future]
                    yield finished
        finally:
            again.extend(begun.values())

    def _open(self) -> ProcessPoolExecutor:
        if self._processes is None:
            self._processes = ProcessPoolExecutor(
                self._workers,
                mp_context=get_context("spawn"),
                initializer=_open_worker,
                initargs=self._given,
            )
        return self._processes


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Inside, a process that starts does not run the file of the program first.

    A worker needs nothing of it, and a script that is not guarded by
    `if __name__ == "__main__"` would begin its work once more in each of them.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _open_worker(work: ShardWork, store: ShardStore) -> None:
    global _worker
    _worker = ShardWorker(work, store)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, however it ended."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _do_shard(shard: Shard) -> FinishedShard:
    assert _worker is not None
    return _worker.do(shard)
