"""The cost of an extraction before it starts: time, disk and memory."""

import time
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import psutil
from jaxtyping import Int

from stc_core.activations.forward import CHUNK, PENDING, BatchBudget, for_device
from stc_core.activations.store import store_bytes
from stc_core.activations.transfer import pack
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.batches import LARGEST_SHARD, token_batches
from stc_core.backbone.tokenization.tokens import Tokens
from stc_core.types import PooledSite

TRIAL_FLOPS = {"cpu": 2e10, "cuda": 2e13}
"""The most work in a trial batch, so that measuring a large model does not take
minutes."""
ROUNDS, ENOUGH_SECONDS = 5, 2.0
"""A trial batch runs ROUNDS times, and the quickest run counts; fewer times if they
take longer than ENOUGH_SECONDS together."""
QUANTILES = (0.15, 0.5, 0.85)
TIMED_SHARE = 0.1
DEPTH_ROUNDS = 4
TIMED_TEXTS = 8, 32
"""At least and at most so many texts are timed at each depth."""


class TokenCounts(NamedTuple):
    """The number of tokens that are read from texts, and of texts that are cut."""

    n: int
    cut: int


class Speed(NamedTuple):
    """Seconds per token at some text lengths, and the process's memory afterwards."""

    lengths: tuple[int, ...]
    seconds_per_token: tuple[float, ...]
    resident_bytes: int


class ExtractionPlan(NamedTuple):
    """The cost of an extraction; `memory_bytes` is host memory, with the model."""

    n_texts: int
    n_tokens: int
    n_cut: int
    disk_bytes: int
    memory_bytes: int
    seconds: float
    batches: int


def count_tokens(backbone: Backbone, texts: Sequence[str]) -> TokenCounts:
    """The token counts of all texts; memory does not grow with their number."""
    n, cut = 0, 0
    for start in range(0, len(texts), CHUNK):
        tokens = backbone.tokenize(texts[start : start + CHUNK])
        n, cut = n + sum(map(len, tokens.ids)), cut + tokens.n_cut
    return TokenCounts(n, cut)


def plan_extraction(
    backbone: Backbone,
    tokens: Tokens,
    wanted: Sequence[PooledSite],
    *,
    store_dtype: str = "float16",
    token_budget: int | None = None,
    speed: Speed | None = None,
) -> ExtractionPlan:
    """The cost of `extract` with the same arguments; nothing is extracted.

    It is a pure function of `speed`, which is measured if it is not given. Duplicate
    texts are counted as if each of them were computed.
    """
    speed = speed or measure_speed(backbone, tokens, wanted, token_budget=token_budget)
    lengths = _lengths(tokens)
    budget = BatchBudget(backbone, wanted, token_budget)
    batches = token_batches(lengths, budget.tokens, max_texts=budget.texts)
    longest = np.array([lengths[batch].max() for batch in batches])
    sizes = np.array([len(batch) for batch in batches])
    seconds = np.interp(longest, speed.lengths, speed.seconds_per_token)
    widths = {pooled: backbone.widths[pooled.site] for pooled in wanted}
    n = len(lengths)
    block_bytes = (
        int(sizes.max()) * sum(widths.values()) * (4 + np.dtype(store_dtype).itemsize)
    )
    shard_bytes = min(n, LARGEST_SHARD) * int(lengths.mean()) * 4
    return ExtractionPlan(
        n_texts=n,
        n_tokens=int(lengths.sum()),
        n_cut=tokens.n_cut,
        disk_bytes=store_bytes(n, n, widths, store_dtype),
        memory_bytes=speed.resident_bytes + PENDING * block_bytes + 2 * shard_bytes,
        seconds=float((seconds * longest * sizes).sum()),
        batches=len(batches),
    )


def measure_speed(
    backbone: Backbone,
    tokens: Tokens,
    wanted: Sequence[PooledSite],
    *,
    token_budget: int | None = None,
) -> Speed:
    """Times forward passes of a short, a medium and a long batch of these texts."""
    flops = backbone.flops_per_token(max(pooled.site.layer for pooled in wanted))
    affordable = int(for_device(backbone, TRIAL_FLOPS) / max(1, flops))
    budget = BatchBudget(backbone, wanted, token_budget)
    trial_tokens = max(64, min(budget.tokens, affordable))
    lengths = _lengths(tokens)
    batches = token_batches(lengths, trial_tokens, max_texts=budget.texts)
    batches.sort(key=lambda batch: lengths[batch].max())
    seconds: dict[int, float] = {}
    for quantile in QUANTILES:
        batch = batches[round(quantile * (len(batches) - 1))]
        ids = [tokens.ids[text] for text in batch]
        longest = int(lengths[batch].max())
        elapsed = _seconds(backbone, ids, wanted)
        seconds[longest] = elapsed / (longest * len(batch))
    resident = psutil.Process().memory_info().rss
    return Speed(tuple(seconds), tuple(seconds.values()), resident)


def depth_seconds(
    backbone: Backbone,
    texts: Sequence[str],
    wanted: Sequence[PooledSite],
    depths: Sequence[int],
) -> dict[int, float]:
    """Seconds per text, in batches, of a forward pass that stops after each depth.

    It times forward passes of some texts of all lengths, with all wanted sites up to
    the depth pooled, and takes the quickest of some rounds. The texts are few, so that
    timing takes a small share of the time of their extraction. A deeper pass does all
    the work of a shallower one. If other work on the machine made it seem quicker, both
    get the value that fits both best (isotonic regression).
    """
    affordable = int(TIMED_SHARE * len(texts) / len(depths))
    n = min(len(texts), max(TIMED_TEXTS[0], min(affordable, TIMED_TEXTS[1])))
    order = np.argsort([len(text) for text in texts], kind="stable")
    sampled = order[np.linspace(0, len(texts) - 1, n).astype(int)]
    tokens = backbone.tokenize([texts[int(position)] for position in sampled])
    budget, lengths = BatchBudget(backbone, wanted, None), _lengths(tokens)
    batches = [
        [tokens.ids[row] for row in batch]
        for batch in token_batches(lengths, budget.tokens, max_texts=budget.texts)
    ]
    seconds = dict.fromkeys(depths, np.inf)
    for _, depth in product(range(DEPTH_ROUNDS), depths):
        up_to_depth = [pooled for pooled in wanted if pooled.site.layer <= depth]
        start = time.perf_counter()
        for ids in batches:
            pack(backbone.pooled(ids, up_to_depth)).values.wait()
        seconds[depth] = min(seconds[depth], (time.perf_counter() - start) / n)
    # Slow to import; only training needs it.
    from sklearn.isotonic import IsotonicRegression

    by_depth = sorted(seconds)
    timed = [seconds[depth] for depth in by_depth]
    rising = IsotonicRegression().fit_transform(by_depth, timed)
    return dict(zip(by_depth, map(float, rising), strict=True))


def _seconds(
    backbone: Backbone, ids: list[np.ndarray], wanted: Sequence[PooledSite]
) -> float:
    """Seconds of one forward pass: the quickest of several, without the first.

    The first pass of a shape is slower. While a page is being drawn, most passes take
    twice as long.
    """
    times = []
    while len(times) < 2 or (len(times) <= ROUNDS and sum(times) < ENOUGH_SECONDS):
        start = time.perf_counter()
        pack(backbone.pooled(ids, wanted)).values.wait()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def _lengths(tokens: Tokens) -> Int[np.ndarray, " n"]:
    return np.array([len(row) for row in tokens.ids])
