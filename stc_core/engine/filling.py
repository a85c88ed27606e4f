"""Shards to a store by any engine: only those that are not there yet are computed."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple

from stc_core.engine.local import workers_here
from stc_core.engine.on_ray import workers_on_ray
from stc_core.engine.settings import EngineConfig
from stc_core.engine.shard_store import ShardStore
from stc_core.engine.shards import DoShards, Shard, ShardWork, shard_key
from stc_core.errors import StcError
from stc_core.paths import shards_folder
from stc_core.types import Progress, silent


class Filled(NamedTuple):
    """The numbers of texts, of shards and of those that were there, and all keys."""

    n_texts: int
    n_shards: int
    n_known: int
    keys: frozenset[str]


def open_store(config: EngineConfig) -> ShardStore:
    """The store of the settings, or that of the home; StcError without rights."""
    store = ShardStore(config.shard_store or str(shards_folder()))
    store.check()
    return store


def check_engine(config: EngineConfig) -> None:
    """StcError for options that this engine does not have."""
    if config.engine == "ray":
        return
    for option, is_given in (("--address", config.address), ("--gpus", config.gpus)):
        if is_given:
            raise StcError(
                f"option {option}", expected="--engine ray with it", got=config.engine
            )


def open_workers(
    work: ShardWork, store: ShardStore, config: EngineConfig
) -> AbstractContextManager[DoShards]:
    """A context with workers of the engine, which do shards until it ends."""
    if config.engine == "ray":
        return workers_on_ray(work, store, config)
    return workers_here(work, store, workers=config.workers or 1)


def fill(
    work: ShardWork,
    shards: Iterable[Shard],
    store: ShardStore,
    config: EngineConfig,
    *,
    progress: Progress = silent,
) -> Filled:
    """Compute the shards that are not in the store. `progress` counts texts.

    The result is the same with any engine, any number of workers, and after any
    interruption: each shard is a function of its texts and of the work alone.
    """
    check_engine(config)
    known, count = store.keys(), _Count(progress)
    missing = count.missing(work, shards, known)
    with open_workers(work, store, config) as do:
        for shard in do(missing):
            count.add(shard.key, shard.n_texts)
    return Filled(count.n_texts, count.n_shards, count.n_known, frozenset(count.keys))


class _Count:
    """Counts what is done."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.n_texts = self.n_shards = self.n_known = 0
        self.keys = set[str]()

    def add(self, key: str, n_texts: int) -> None:
        self.keys.add(key)
        self.n_texts, self.n_shards = self.n_texts + n_texts, self.n_shards + 1
        self._progress(self.n_texts, 0)

    def missing(
        self, work: ShardWork, shards: Iterable[Shard], known: set[str]
    ) -> Iterator[Shard]:
        """Yield the shards that are to be computed; the others are counted."""
        for shard in shards:
            key = shard_key(work, shard.texts)
            if key in known:
                self.n_known += 1
                self.add(key, len(shard.texts))
            else:
                yield shard
