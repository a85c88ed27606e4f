"""A worker: it opens the work once, and then does one shard after the other."""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from stc_core.engine.shard_store import ShardStore
from stc_core.engine.shards import (
    FinishedShard,
    ReadShard,
    Shard,
    ShardWork,
    broken_of,
    shard_key,
)
from stc_core.runs.environment import versions_of


class WorkerFacts(NamedTuple):
    """What must be equal on all workers, and whether a worker sees a file."""

    host: str
    pid: int
    versions: dict[str, str]
    sees_storage: bool


class ShardWorker:
    """Does shards of one work; what it computes does not depend on which it is."""

    def __init__(self, work: ShardWork, store: ShardStore) -> None:
        self.work, self.store = work, store
        self._read: ReadShard | None = None

    def facts(self, probe: str) -> WorkerFacts:
        """The versions here, and whether this worker sees the file `probe`.

        The work is opened, so that it fails now if it cannot be opened here.
        """
        self._opened()
        seen = self.store.sees(probe)
        return WorkerFacts(platform.node(), os.getpid(), versions_of(), seen)

    def do(self, shard: Shard) -> FinishedShard:
        """Compute a shard and keep its result in the store."""
        key = shard_key(self.work, shard.texts)
        read = self._opened()
        with limited_threads(self.work.threads):
            result = read(shard.texts)
        self.store.write(key, result)
        return FinishedShard(shard.number, key, len(shard.texts), broken_of(result))

    def _opened(self) -> ReadShard:
        if self._read is None:
            self._read = self.work.open()
        return self._read


@contextmanager
def limited_threads(n: int) -> Iterator[None]:
    """Compute with `n` threads: their number may change the last bits of a sum."""
    torch: Any = sys.modules.get("torch")
    if torch is None:  # the work does not need it
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
