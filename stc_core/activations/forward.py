"""The one loop over texts: tokenise ahead, sort, batch, forward pass, hand on."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from stc_core.backbone.backbone import Backbone
from stc_core.backbone.batches import batch_stop, shards
from stc_core.errors import MemoryShortage
from stc_core.memory import release_memory
from stc_core.types import Feature, PooledSite

TOKEN_BUDGET = {"cpu": 2048, "cuda": 65536}
_BLOCK_BYTES = {"cpu": 1 << 28, "cuda": 1 << 30}
"""The most bytes of float32 pooled values in a batch."""
PENDING = 3
"""So many batches may wait for the host or the disk while the next one is computed."""
CHUNK = 512
_T = TypeVar("_T")
_U = TypeVar("_U")
_Read = Callable[[list[np.ndarray]], Any]


def for_device(backbone: Backbone, table: Mapping[str, _T]) -> _T:
    """The entry for the backbone's device; a device without an entry gets the CPU's."""
    return table.get(backbone.device.type, table["cpu"])


@dataclass(frozen=True)
class ReadBatch(Generic[_T]):
    """The value made of the texts `rows`; `start` texts came before them."""

    start: int
    rows: Int[np.ndarray, " batch"]
    value: _T


class ForwardsElsewhere(Protocol):
    """Runs the forwards of a backbone in other processes, on the same batches."""

    def takes(self, n_texts: int) -> bool:
        """Whether so many texts are worth it."""
        ...

    def pooled(
        self,
        backbone: Backbone,
        texts: Sequence[str],
        wanted: Sequence[PooledSite],
        *,
        start: int = 0,
    ) -> Iterator[ReadBatch[dict[PooledSite, Tensor]]]:
        """Yield the pooled values of each batch, as `run_batches` reads them."""
        ...

    def features(
        self, backbone: Backbone, texts: Sequence[str], features: Sequence[Feature]
    ) -> Iterator[ReadBatch[np.ndarray]]:
        """Yield the values of single neurons, a column for each of the features."""
        ...


class BatchBudget:
    """The size limits of a batch; halved if the device runs out of memory.

    `device` is the type of the one that runs the batches; None: that of the backbone.
    """

    def __init__(
        self,
        backbone: Backbone,
        wanted: Sequence[PooledSite],
        budget: int | None,
        *,
        device: str | None = None,
    ) -> None:
        device = device or backbone.device.type
        self.row_bytes = 4 * sum(backbone.widths[site] for site, _ in wanted)
        self.tokens = budget or TOKEN_BUDGET.get(device, TOKEN_BUDGET["cpu"])
        block_bytes = _BLOCK_BYTES.get(device, _BLOCK_BYTES["cpu"])
        self.texts = max(1, block_bytes // self.row_bytes)
        self.notes: list[str] = []

    def halve(self, n_texts: int, length: int) -> None:
        """Halve the limit after a batch that failed, with a note.

        MemoryShortage if the batch was a single text.
        """
        if n_texts == 1:
            raise MemoryShortage(
                "out of memory",
                expected=f"enough device memory for one text of {length} tokens",
                remedy="Lower max_length, choose a smaller backbone or use the CPU.",
            )
        torch.cuda.empty_cache()
        self.tokens = n_texts * length // 2
        self.notes.append(f"Out of memory: batches halved to {self.tokens} tokens.")


def run_batches(
    backbone: Backbone,
    texts: Sequence[str],
    wanted: Sequence[PooledSite],
    make: Callable[[Any], _T],
    *,
    budget: BatchBudget,
    start: int = 0,
    read: _Read | None = None,
) -> Generator[ReadBatch[_T], None, None]:
    """Yield the value that `make` gives for every batch, from position `start` on.

    `read` runs a batch, by default `backbone.pooled`. The next shard is tokenised
    meanwhile. After a large shard, memory that its batches left in the heap is returned
    to the system. Without `read`, the forwards of many texts may be done `elsewhere`.
    """
    other: ForwardsElsewhere | None = None if read else backbone.elsewhere
    if other is not None and other.takes(len(texts)):
        for batch in other.pooled(backbone, texts, wanted, start=start):
            yield ReadBatch(batch.start, batch.rows, make(batch.value))
        return
    read = read or partial(backbone.pooled, wanted=wanted)
    remaining = [shard for shard in shards(len(texts)) if shard.stop > start]
    tokenise = lambda shard: token_ids(backbone, texts[shard])  # noqa: E731
    # For a single short text a thread costs more than it could save.
    tokenised = map_ahead if len(remaining) > 1 else map
    shard_ids = tokenised(tokenise, remaining)
    for shard, ids in zip(remaining, shard_ids, strict=True):
        order = np.argsort([len(row) for row in ids], kind="stable")
        ids = [ids[text] for text in order]
        first_row = max(0, start - shard.start)
        for part, value in _in_batches(ids, read, make, budget=budget, start=first_row):
            yield ReadBatch(shard.start + part.start, shard.start + order[part], value)
        if len(ids) > CHUNK:
            release_memory()


def map_ahead(
    work: Callable[[_U], _T], items: Iterable[_U], *, workers: int = 1
) -> Generator[_T, None, None]:
    """Yield `work` of each item in order, and do the next `workers` meanwhile."""
    pending: deque[Future[_T]] = deque()
    with ThreadPoolExecutor(workers, "ahead") as pool:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _in_batches(
    ids: list[np.ndarray],
    read: _Read,
    make: Callable[[Any], _T],
    *,
    budget: BatchBudget,
    start: int,
) -> Iterator[tuple[slice, _T]]:
    lengths = np.array([len(row) for row in ids])
    while start < len(ids):
        stop = batch_stop(lengths, start, budget.tokens, max_texts=budget.texts)
        value = _attempt(ids[start:stop], read, make)
        if value is None:
            budget.halve(stop - start, int(lengths[stop - 1]))
            continue
        yield slice(start, stop), value
        start = stop


def _attempt(
    ids: list[np.ndarray], read: _Read, make: Callable[[Any], _T]
) -> _T | None:
    """The value of a batch; None if the device ran out of memory."""
    try:
        return make(read(ids))
    except torch.OutOfMemoryError:
        return None


def token_ids(backbone: Backbone, texts: Sequence[str]) -> list[np.ndarray]:
    """The token ids of each text, by chunks: a tokenizer's own records are large."""
    chunks = range(0, len(texts), CHUNK)
    return [
        ids
        for start in chunks
        for ids in backbone.tokenize(texts[start : start + CHUNK]).ids
    ]
