"""The one loop over texts: tokenise ahead, sort, batch, forward, hand on."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Int

from stc_core.backbone.backbone import Backbone
from stc_core.backbone.batches import batch_stop, shards
from stc_core.errors import StcError
from stc_core.memory import release
from stc_core.types import PooledSite

TOKEN_BUDGET = {"cpu": 2048, "cuda": 65536}
_BLOCK_BYTES = {"cpu": 1 << 28, "cuda": 1 << 30}
"""Most float32 bytes of pooled values in a batch."""
PENDING = 3
"""Batches that may wait for the host or the disk while the next is computed."""
CHUNK = 512
_T = TypeVar("T")
U = TypeVar("U")
_Read = Callable[[list[np.ndarray]], Any]


def on_device(backbone: Backbone, table: Mapping[str, _T]) -> _T:
    """The entry for the backbone's device; devices not in the table are as a CPU."""
    return table.get(backbone.device.type, table["cpu"])


@dataclass(frozen=True)
class ReadBatch(Generic[_T]):
    """What was made of the texts `rows`; `start`: how many came before them."""

    start: int
    rows: Int[np.ndarray, " batch"]
    value: _T


class BatchBudget:
    """How large batches are; halved, and noted, when the device runs out of memory."""

    def __init__(
        self, backbone: Backbone, wanted: Sequence[PooledSite], budget: int | None
    ) -> None:
        row_bytes = 4 * sum(backbone.widths[site] for site, _ in wanted)
        self.tokens = budget or on_device(backbone, TOKEN_BUDGET)
        self.texts = max(1, on_device(backbone, _BLOCK_BYTES) // row_bytes)
        self.notes: list[str] = []

    def halve(self, n_texts: int, length: int) -> None:
        """Raises StcError if the batch was a single text."""
        if n_texts == 1:
            raise StcError(
                "out of memory",
                expected=f"room on the device for one text of {length} tokens",
                remedy="Lower max_length, choose a smaller backbone or use the CPU.",
            )
        torch.cuda.empty_cache()
        self.tokens = n_texts * length // 2
        self.notes.append(f"Out of memory: batches halved to {self.tokens} tokens.")


def run(
    backbone: Backbone,
    texts: Sequence[str],
    wanted: Sequence[PooledSite],
    make: Callable[[Any], _T],
    *,
    pace: BatchBudget,
    start: int = 0,
    read: _Read | None = None,
) -> Generator[ReadBatch[_T], None, None]:
    """`make` of every batch from place `start` on, the next shard being tokenised.

    `read` is what runs a batch: `backbone.pooled` if none is given. What the
    batches of a large shard leave in the heap is given back.
    """
    read = read or partial(backbone.pooled, wanted=wanted)
    todo = [shard for shard in shards(len(texts)) if shard.stop > start]
    tokenise = lambda shard: token_ids(backbone, texts[shard])  # noqa: E731
    # A thread costs a single short text more than it could save.
    coming = ahead(tokenise, todo) if len(todo) > 1 else map(tokenise, todo)
    for shard, ids in zip(todo, coming, strict=True):
        order = np.argsort([len(row) for row in ids], kind="stable")
        ids = [ids[text] for text in order]
        first = max(0, start - shard.start)
        for at, value in _in_batches(ids, read, make, pace=pace, start=first):
            yield ReadBatch(shard.start + at.start, shard.start + order[at], value)
        if len(ids) > CHUNK:
            release()


def ahead(
    work: Callable[[U], _T], items: Iterable[U], *, workers: int = 1
) -> Generator[_T, None, None]:
    """`work` of each item in order, that of the next `workers` done meanwhile."""
    coming: deque[Future[_T]] = deque()
    with ThreadPoolExecutor(workers, "ahead") as pool:
        for item in items:
            coming.append(pool.submit(work, item))
            if len(coming) > workers:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


def _in_batches(
    ids: list[np.ndarray],
    read: _Read,
    make: Callable[[Any], _T],
    *,
    pace: BatchBudget,
    start: int,
) -> Iterator[tuple[slice, _T]]:
    lengths = np.array([len(row) for row in ids])
    while start < len(ids):
        stop = batch_stop(lengths, start, pace.tokens, max_texts=pace.texts)
        value = _attempt(ids[start:stop], read, make)
        if value is None:
            pace.halve(stop - start, int(lengths[stop - 1]))
            continue
        yield slice(start, stop), value
        start = stop


def _attempt(
    ids: list[np.ndarray], read: _Read, make: Callable[[Any], _T]
) -> _T | None:
    """None if the device ran out of memory; the failed forward is freed by then."""
    try:
        return make(read(ids))
    except torch.OutOfMemoryError:
        return None


def token_ids(backbone: Backbone, texts: Sequence[str]) -> list[np.ndarray]:
    """Ids of each text, a chunk at a time: a tokenizer's own records are large."""
    chunks = range(0, len(texts), CHUNK)
    return [
        ids
        for start in chunks
        for ids in backbone.tokenize(texts[start : start + CHUNK]).ids
    ]
