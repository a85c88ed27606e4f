"""Pooled activations of many texts, computed shard by shard."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from stc_core.activations.saving import SavedFacts, checked_path, write_pooled
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.labelling.table_chunks import SHARD_ROWS
from stc_core.engine.filling import fill, open_store
from stc_core.engine.results import shard_activations
from stc_core.engine.settings import EngineConfig
from stc_core.engine.shard_store import ShardStore
from stc_core.engine.shards import Shard, broken_of, numbered, shard_key
from stc_core.engine.works import ReadingWork
from stc_core.errors import StcError
from stc_core.types import PooledSite, Progress, silent


def read_in_shards(
    backbone: Backbone,
    texts: Sequence[str],
    wanted: Sequence[PooledSite],
    path: str | Path,
    config: EngineConfig,
    *,
    dtype: str = "float32",
    rows: pd.DataFrame | None = None,
    shard_rows: int = SHARD_ROWS,
    progress: Progress = silent,
    tell: Callable[[str], object] = str,
) -> SavedFacts:
    """Write pooled activations to the safetensors file `path`, as `save_pooled`.

    They are computed first, shard by shard: after an interruption the same call
    computes only those that are missing. A shard is computed apart from the others, so
    values differ in their last bits from those of `save_pooled`. A text that cannot be
    tokenised has no row, neither in the file nor in `rows`; `tell` gets its reason.
    `progress` counts texts. StcError as in `save_pooled`.
    """
    path = checked_path(path, dtype, rows, len(texts))
    work = ReadingWork.of(backbone, wanted, device=config.device, threads=config.cpus)
    parts = (
        list(texts[at : at + shard_rows]) for at in range(0, len(texts), shard_rows)
    )
    shards = list(numbered(parts))
    store = open_store(config)
    filled = fill(work, shards, store, config, progress=progress)
    reading = _Reading(work, store, shards)
    kept = reading.kept(len(texts), tell)
    if rows is not None:
        rows = rows.loc[kept].reset_index(drop=True)
    facts = write_pooled(
        backbone,
        work.wanted,
        reading.blocks(),
        path,
        n=int(kept.sum()),
        dtype=dtype,
        rows=rows,
    )
    if config.shard_store is None:
        store.remove(filled.keys)
    return facts


class _Reading:
    """The results of the shards, in the order of the texts."""

    def __init__(
        self, work: ReadingWork, store: ShardStore, shards: list[Shard]
    ) -> None:
        self._work, self._store, self._shards = work, store, shards

    def kept(self, n: int, tell: Callable[[str], object]) -> np.ndarray:
        """Which of the `n` texts could be read; StcError if none could."""
        kept = np.ones(n, bool)
        for shard in self._shards:
            result = self._store.read(shard_key(self._work, shard.texts))
            for row, reason in broken_of(result).items():
                kept[shard.start + row] = False
                tell(f"warning: text {shard.start + row + 1:,} is left out: {reason}")
        if not kept.any():
            raise StcError("texts", expected="a text that can be read", got="none")
        return kept

    def blocks(self) -> Iterator[tuple[PooledSite, int, Float[np.ndarray, "_ _"]]]:
        """Yield a block of each site for each shard."""
        start = 0
        for shard in self._shards:
            result = self._store.read(shard_key(self._work, shard.texts))
            for site, values in shard_activations(result, self._work.wanted).items():
                yield site, start, values
            start += len(result)
