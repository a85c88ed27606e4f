"""What an extraction will cost, before it starts: time, disk and memory."""

import time
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import psutil
from jaxtyping import Int

from stc_core.activations.forward import CHUNK, PENDING, BatchBudget, on_device
from stc_core.activations.store import store_bytes
from stc_core.activations.transfer import pack
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.batches import LARGEST_SHARD, token_batches
from stc_core.backbone.tokenization.tokens import Tokens
from stc_core.types import PooledSite

TRIAL_FLOPS = {"cpu": 2e10, "cuda": 2e13}
"""Most work of a trial batch, so that a large model is not measured for minutes."""
ROUNDS, ENOUGH_SECONDS = 5, 2.0
"""Forwards of a trial batch, of which the quickest counts; fewer of a model that takes
so long for them."""
QUANTILES = (0.15, 0.5, 0.85)
TIMED_SHARE = 0.1
DEPTH_ROUNDS = 4
TIMED_TEXTS = 8, 32
"""At least and at most so many texts are timed at each depth."""


class TokenCounts(NamedTuple):
    """Tokens that are read of some texts, and how many of the texts are cut."""

    n: int
    cut: int


class Speed(NamedTuple):
    """Seconds a token at some lengths of text, and the process's memory after it."""

    lengths: tuple[int, ...]
    seconds_per_token: tuple[float, ...]
    resident_bytes: int


class ExtractionPlan(NamedTuple):
    """What extracting costs; `memory_bytes` is of the host, the model included."""

    n_texts: int
    n_tokens: int
    n_cut: int
    disk_bytes: int
    memory_bytes: int
    seconds: float
    batches: int


def count_tokens(backbone: Backbone, texts: Sequence[str]) -> TokenCounts:
    """Of all texts; memory does not grow with them."""
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

    A pure function of `speed`, which is measured if it is not given. Duplicates
    among the texts are counted as if they were computed.
    """
    speed = speed or measure_speed(backbone, tokens, wanted, token_budget=token_budget)
    lengths = _lengths(tokens)
    pace = BatchBudget(backbone, wanted, token_budget)
    batches = token_batches(lengths, pace.tokens, max_texts=pace.texts)
    longest = np.array([lengths[batch].max() for batch in batches])
    sizes = np.array([len(batch) for batch in batches])
    seconds = np.interp(longest, speed.lengths, speed.seconds_per_token)
    widths = {wish: backbone.widths[wish.site] for wish in wanted}
    n = len(lengths)
    block = (
        int(sizes.max()) * sum(widths.values()) * (4 + np.dtype(store_dtype).itemsize)
    )
    shard = min(n, LARGEST_SHARD) * int(lengths.mean()) * 4
    return ExtractionPlan(
        n_texts=n,
        n_tokens=int(lengths.sum()),
        n_cut=tokens.n_cut,
        disk_bytes=store_bytes(n, n, widths, store_dtype),
        memory_bytes=speed.resident_bytes + PENDING * block + 2 * shard,
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
    """Timed forwards of a short, a middling and a long batch of these very texts."""
    flops = backbone.flops_per_token(max(wish.site.layer for wish in wanted))
    affordable = int(on_device(backbone, TRIAL_FLOPS) / max(1, flops))
    pace = BatchBudget(backbone, wanted, token_budget)
    budget = max(64, min(pace.tokens, affordable))
    lengths = _lengths(tokens)
    batches = token_batches(lengths, budget, max_texts=pace.texts)
    batches.sort(key=lambda batch: lengths[batch].max())
    seconds: dict[int, float] = {}
    for quantile in QUANTILES:
        batch = batches[round(quantile * (len(batches) - 1))]
        ids = [tokens.ids[text] for text in batch]
        longest = int(lengths[batch].max())
        taken = _seconds(backbone, ids, wanted)
        seconds[longest] = taken / (longest * len(batch))
    resident = psutil.Process().memory_info().rss
    return Speed(tuple(seconds), tuple(seconds.values()), resident)


def depth_seconds(
    backbone: Backbone,
    texts: Sequence[str],
    wanted: Sequence[PooledSite],
    depths: Sequence[int],
) -> dict[int, float]:
    """Seconds a text, in batches, of a forward that stops after each of the depths.

    Timed: forwards of some texts of all lengths, the quickest of some rounds, with all
    wanted sites up to there pooled. Few texts, so that it takes a small share of what
    their extraction takes. A deeper forward does all that a shallower one does: where
    other work on the machine made it seem quicker, both get what fits both best
    (isotonic regression).
    """
    most = int(TIMED_SHARE * len(texts) / len(depths))
    n = min(len(texts), max(TIMED_TEXTS[0], min(most, TIMED_TEXTS[1])))
    order = np.argsort([len(text) for text in texts], kind="stable")
    places = order[np.linspace(0, len(texts) - 1, n).astype(int)]
    tokens = backbone.tokenize([texts[int(place)] for place in places])
    pace = BatchBudget(backbone, wanted, None)
    batches = [
        [tokens.ids[row] for row in batch]
        for batch in token_batches(_lengths(tokens), pace.tokens, max_texts=pace.texts)
    ]
    taken = dict.fromkeys(depths, np.inf)
    for _, depth in product(range(DEPTH_ROUNDS), depths):
        below = [wish for wish in wanted if wish.site.layer <= depth]
        start = time.perf_counter()
        for ids in batches:
            pack(backbone.pooled(ids, below)).values.wait()
        taken[depth] = min(taken[depth], (time.perf_counter() - start) / n)
    from sklearn.isotonic import IsotonicRegression  # only training asks for it

    by_depth = sorted(taken)
    rising = IsotonicRegression().fit_transform(by_depth, [taken[d] for d in by_depth])
    return dict(zip(by_depth, map(float, rising), strict=True))


def _seconds(
    backbone: Backbone, ids: list[np.ndarray], wanted: Sequence[PooledSite]
) -> float:
    """Of one forward, the quickest of some; the first of a shape is not counted.

    Beside a page that is being drawn most of them take twice as long.
    """
    taken = []
    while len(taken) < 2 or (len(taken) <= ROUNDS and sum(taken) < ENOUGH_SECONDS):
        start = time.perf_counter()
        pack(backbone.pooled(ids, wanted)).values.wait()
        taken.append(time.perf_counter() - start)
    return min(taken[1:])


def _lengths(tokens: Tokens) -> Int[np.ndarray, " n"]:
    return np.array([len(row) for row in tokens.ids])
