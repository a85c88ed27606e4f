"""How texts are cut into shards and batches: lengths and places only, no tensors."""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

FIRST_SHARD, LARGEST_SHARD = 1024, 8192


def shards(n: int) -> list[slice]:
    """Consecutive slices that cover `range(n)` once, doubling from 1,024 to 8,192.

    A shard is tokenised while the one before is computed and sorted by length inside.
    The first is small, so that the first forward starts soon; their size depends on
    nothing but the place, so that a resumed extraction finds the same ones.
    """
    found: list[slice] = []
    start, size = 0, FIRST_SHARD
    while start < n:
        found.append(slice(start, min(start + size, n)))
        start, size = start + size, min(2 * size, LARGEST_SHARD)
    return found


def batch_stop(
    lengths: Sequence[int] | Int[np.ndarray, " n"],
    start: int,
    token_budget: int,
    *,
    max_texts: int,
) -> int:
    """Where the batch that starts at `start` stops, `lengths` being ascending.

    The most texts whose padded size, number times longest, is at most `token_budget`
    and whose number is at most `max_texts`; one text if that alone is too long.
    """

    def padded(stop: int) -> int:
        return (stop - start) * int(lengths[stop - 1])

    ends = range(start + 1, min(start + max_texts, len(lengths)) + 1)
    return start + max(1, bisect_right(ends, token_budget, key=padded))


def token_batches(
    lengths: Int[np.ndarray, " n"], token_budget: int, *, max_texts: int
) -> list[Int[np.ndarray, " batch"]]:
    """The texts of each batch in the order of computing; every text is in one.

    Inside a shard the batches go from short to long texts.
    """
    batches: list[np.ndarray] = []
    for shard in shards(len(lengths)):
        order = shard.start + np.argsort(lengths[shard], kind="stable")
        ascending, start = lengths[order], 0
        while start < len(order):
            stop = batch_stop(ascending, start, token_budget, max_texts=max_texts)
            batches.append(order[start:stop])
            start = stop
    return batches
