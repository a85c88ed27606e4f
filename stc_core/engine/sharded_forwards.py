"""Forwards of a training on the workers of an engine: the same batches, elsewhere.

The texts are tokenised, sorted and put into batches here, as `run_batches` does. A
worker gets some whole batches as a shard, so it computes what this process would.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Int
from torch import Tensor

from stc_core.activations.forward import BatchBudget, ReadBatch, token_ids
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.batches import FIRST_SHARD, batch_stop, shards
from stc_core.engine.filling import check_engine, open_store, open_workers
from stc_core.engine.on_ray import connected
from stc_core.engine.results import shard_activations, shard_values
from stc_core.engine.settings import EngineConfig
from stc_core.engine.shards import DoShards, Shard, ShardWork, broken_of, shard_key
from stc_core.engine.works import FeaturesWork, ReadingWork
from stc_core.errors import StcError
from stc_core.types import Feature, PooledSite

LEAST_TEXTS = 256
"""Fewer texts are computed here, sooner than a worker begins."""
_SHARD_BYTES = 1 << 26
"""The most bytes of the result of a shard, if it has more than one batch."""


class ShardedForwards:
    """Runs backbones that were loaded by their name on the workers of an engine.

    A context: the connection lasts until its end, workers until other work comes.
    Results go through the shard store, from which they are removed once they are read,
    unless the user named it. StcError for options that do not fit, a storage without
    rights and a cluster that does not answer.
    """

    def __init__(self, config: EngineConfig) -> None:
        check_engine(config)
        self._config, self._store = config, open_store(config)
        self._engine, self._crew = ExitStack(), ExitStack()
        self._of: tuple[object, ...] | None = None
        self._do: DoShards | None = None
        self._made, self._is_open = 0, False
        self._unread = set[str]()

    def __enter__(self) -> "ShardedForwards":
        if self._config.engine == "ray":
            self._engine.enter_context(connected(self._config.address))
        self._is_open = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_open = False
        self._crew.close()
        self._engine.close()
        if self._config.shard_store is None:
            self._store.remove(self._unread)

    def takes(self, n_texts: int) -> bool:
        """Whether so many texts are worth it, as long as the context lasts."""
        return self._is_open and n_texts >= LEAST_TEXTS

    def pooled(
        self,
        backbone: Backbone,
        texts: Sequence[str],
        wanted: Sequence[PooledSite],
        *,
        start: int = 0,
    ) -> Iterator[ReadBatch[dict[PooledSite, Tensor]]]:
        """Yield the pooled values of each batch from position `start` on."""
        self._check(backbone)
        work = ReadingWork.of(backbone, wanted, **self._how())
        for plan, result in self._results(
            work, self._plans(work, backbone, texts, start)
        ):
            blocks = shard_activations(result, work.wanted)
            for place, rows, some in plan.batches():
                # Arrow's memory is read-only, which torch does not know.
                values = {
                    site: torch.from_numpy(block[some].copy())
                    for site, block in blocks.items()
                }
                yield ReadBatch(place, rows, values)

    def features(
        self, backbone: Backbone, texts: Sequence[str], features: Sequence[Feature]
    ) -> Iterator[ReadBatch[np.ndarray]]:
        """Yield the values of single neurons, a column for each of the features."""
        self._check(backbone)
        work = FeaturesWork.of(backbone, features, **self._how())
        plans = self._plans(work.reading, backbone, texts, 0)
        for plan, result in self._results(work, plans):
            yield ReadBatch(plan.start, plan.rows, shard_values(result))

    def _check(self, backbone: Backbone) -> None:
        """StcError for half precision on another kind of device than that here."""
        device, here = self._config.device, backbone.device.type
        if backbone.dtype.itemsize < 4 and device != here:
            dtype = str(backbone.dtype).removeprefix("torch.")
            raise StcError(
                f"workers on {device}",
                expected=f"{here}, as here: in {dtype} each device has other numbers",
                got=device,
                remedy="Add --dtype float32, or give the workers the same device.",
            )

    def _how(self) -> dict:
        return {"device": self._config.device, "threads": self._config.cpus}

    def _plans(
        self, work: ReadingWork, backbone: Backbone, texts: Sequence[str], start: int
    ) -> "Iterator[_Plan]":
        budget = BatchBudget(backbone, work.wanted, None, device=self._config.device)
        return _plans(backbone, texts, budget, start=start)

    def _results(
        self, work: ShardWork, plans: "Iterator[_Plan]"
    ) -> "Iterator[tuple[_Plan, pa.Table]]":
        """Yield the result of each plan, in their order, as soon as it is there."""
        do, known = self._workers(work), self._store.keys()
        waiting, finished = deque[tuple[Shard, str, _Plan]](), set[int]()

        def begun() -> Iterator[Shard]:
            for plan in plans:
                self._made += 1
                shard = Shard(self._made, plan.start, plan.texts)
                key = shard_key(work, shard.texts)
                waiting.append((shard, key, plan))
                self._unread.add(key)
                if key in known:
                    finished.add(shard.number)
                else:
                    yield shard

        def read() -> Iterator[tuple[_Plan, pa.Table]]:
            while waiting and waiting[0][0].number in finished:
                _, key, plan = waiting.popleft()
                yield plan, self._sound(self._store.read(key))
                if any(key == other for _, other, _ in waiting):
                    continue  # the same texts once more
                if self._config.shard_store is None:
                    self._store.remove([key])
                self._unread.discard(key)

        for one in do(begun()):
            finished.add(one.number)
            yield from read()
        yield from read()

    def _sound(self, result: pa.Table) -> pa.Table:
        """The result; StcError if a text of it could not be read."""
        if broken := broken_of(result):
            raise StcError(
                "a text",
                expected="one that the tokenizer can read",
                got=next(iter(broken.values())),
                remedy="Leave such rows out.",
            )
        return result

    def _workers(self, work: ShardWork) -> DoShards:
        """The workers that do this work; those of other work end."""
        if self._do is None or self._of != work.identity:
            self._crew.close()
            opened = open_workers(work, self._store, self._config)
            self._do, self._of = self._crew.enter_context(opened), work.identity
        return self._do


class _Plan(NamedTuple):
    """Some batches: their texts, the positions of these, and the end of each batch."""

    start: int
    rows: Int[np.ndarray, " n"]
    texts: list[str]
    stops: tuple[int, ...]

    def batches(self) -> Iterator[tuple[int, Int[np.ndarray, " batch"], slice]]:
        """Yield the number of texts before each batch, its rows, and where they are."""
        at = 0
        for stop in self.stops:
            yield self.start + at, self.rows[at:stop], slice(at, stop)
            at = stop


def _plans(
    backbone: Backbone, texts: Sequence[str], budget: BatchBudget, *, start: int
) -> Iterator[_Plan]:
    """Yield the batches that `run_batches` runs from `start` on, some at a time.

    A worker puts the texts of a plan into the same batches: they are sorted, and no
    more than the first shard of `shards`.
    """
    for shard in shards(len(texts)):
        if shard.stop <= start:
            continue
        some = texts[shard]
        lengths = np.array([len(ids) for ids in token_ids(backbone, some)])
        order = np.argsort(lengths, kind="stable")
        lengths, at = lengths[order], max(0, start - shard.start)
        while at < len(order):
            stops = [batch_stop(lengths, at, budget.tokens, max_texts=budget.texts)]
            while stops[-1] < len(order):
                more = batch_stop(
                    lengths, stops[-1], budget.tokens, max_texts=budget.texts
                )
                size = more - at
                if size > FIRST_SHARD or size * budget.row_bytes > _SHARD_BYTES:
                    break
                stops.append(more)
            rows = order[at : stops[-1]]
            yield _Plan(
                shard.start + at,
                shard.start + rows,
                [some[int(row)] for row in rows],
                tuple(stop - at for stop in stops),
            )
            at = stops[-1]


@contextmanager
def forwards_on(config: EngineConfig | None) -> Iterator[ShardedForwards | None]:
    """Inside, forwards run on this engine; None for one process of this machine."""
    if config is not None:
        check_engine(config)
    if config is None or (config.engine == "local" and (config.workers or 1) == 1):
        yield None
        return
    with ShardedForwards(config) as forwards:
        yield forwards
