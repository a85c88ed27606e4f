"""How texts are divided into shards and batches: lengths and positions, no tensors."""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

FIRST_SHARD, LARGEST_SHARD = 1024, 8192


def shards(n: int) -> list[slice]:
    """Consecutive slices that cover `range(n)` once, doubling from 1,024 to 8,192.

    A shard is tokenised while the one before it is computed; inside a shard texts are
    sorted by length. The first shard is small, so that the first forward starts soon. A
    shard's size depends only on its position, so that a resumed extraction has the same
    shards.
    """
    slices: list[slice] = []
    start, size = 0, FIRST_SHARD
    while start < n:
        slices.append(slice(start, min(start + size, n)))
        start, size = start + size, min(2 * size, LARGEST_SHARD)
    return slices


def batch_stop(
    lengths: Sequence[int] | Int[np.ndarray, " n"],
    start: int,
    token_budget: int,
    *,
    max_texts: int,
) -> int:
    """The end of the batch that starts at `start`; `lengths` must be ascending.

    The batch has as many texts as possible, at most `max_texts`, with a padded size
    (number times longest) of at most `token_budget`. It has one text if that text alone
    is larger.
    """

    def padded(stop: int) -> int:
        return (stop - start) * int(lengths[stop - 1])

    ends = range(start + 1, min(start + max_texts, len(lengths)) + 1)
    return start + max(1, bisect_right(ends, token_budget, key=padded))


def token_batches(
    lengths: Int[np.ndarray, " n"], token_budget: int, *, max_texts: int
) -> list[Int[np.ndarray, " batch"]]:
    """The texts of each batch, in the order of computing; every text is in one batch.

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
