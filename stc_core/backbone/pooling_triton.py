"""Mean and maximum of every text of a packed row, in one read: a Triton kernel.

On a GPU a separate pass for each pooling costs as much as a small model's blocks. The
module is imported only with CUDA: Triton comes with PyTorch's CUDA builds.
"""

from collections.abc import Sequence

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from jaxtyping import Float, Int
from torch import Tensor, float32

from stc_core.types import Pooling

BLOCK_ROWS, BLOCK_COLUMNS = 4, 128


def pool_packed(
    hidden: Float[Tensor, "token d_feat"],
    starts: Int[Tensor, " texts_plus_1"],
    poolings: Sequence[Pooling],
) -> dict[Pooling, Float[Tensor, "texts d_feat"]]:
    """The values that `pooling.pool` gives for the texts between `starts`, float32.

    A pooling without a kernel here is left out.
    """
    pooled: dict[Pooling, Tensor] = {}
    if "mean" in poolings or "max" in poolings:
        pooled["mean"], pooled["max"] = mean_and_max(hidden.contiguous(), starts)
    if "first" in poolings:
        pooled["first"] = hidden[starts[:-1]].float()
    if "last" in poolings:
        pooled["last"] = hidden[starts[1:] - 1].float()
    return {pooling: pooled[pooling] for pooling in poolings if pooling in pooled}


def mean_and_max(
    hidden: Float[Tensor, "token d_feat"], starts: Int[Tensor, " texts_plus_1"]
) -> tuple[Float[Tensor, "texts d_feat"], Float[Tensor, "texts d_feat"]]:
    """Float32 mean and maximum over the tokens `starts[i]:starts[i + 1]` of text i.

    Every text must have a token. `hidden` is contiguous, on CUDA, and is read once.
    """
    n, width = len(starts) - 1, hidden.shape[1]
    mean, largest = hidden.new_empty(2, n, width, dtype=float32)
    grid = (triton.cdiv(width, BLOCK_COLUMNS), n)
    with torch.cuda.device(hidden.device):  # Triton runs on the current device
        _reduce[grid](  # pyright: ignore[reportIndexIssue]
            hidden, starts, mean, largest, width, BLOCK_ROWS, BLOCK_COLUMNS, num_warps=1
        )
    return mean, largest


@triton.jit
def _reduce(
    hidden,
    starts,
    mean,
    largest,
    width,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """One program: some columns of one text. Sums stay in registers until the end."""
    text = tl.program_id(1)
    columns = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    inside = columns < width
    start, stop = tl.load(starts + text), tl.load(starts + text + 1)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    top = tl.full((ROWS, COLUMNS), float("-inf"), tl.float32)
    for first in range(start, stop, ROWS):
        rows = first + tl.arange(0, ROWS)
        live = (rows < stop)[:, None] & inside[None, :]
        places = rows[:, None].to(tl.int64) * width + columns[None, :]
        values = tl.load(hidden + places, mask=live, other=float("-inf"))
        values = values.to(tl.float32)
        top = tl.maximum(top, values)
        total += tl.where(live, values, 0.0)
    out = text.to(tl.int64) * width + columns
    count = (stop - start).to(tl.float32)
    tl.store(mean + out, tl.sum(total, 0) / count, mask=inside)
    tl.store(largest + out, tl.max(top, 0), mask=inside)
