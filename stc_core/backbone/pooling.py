"""Poolings of token activations, never over padding.

`pool` takes any mask. `pool_groups` gives the same values without a mask and without a
copy: the batch is sorted by length, so texts of equal length form one view.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from stc_core.poolings import POOLING_RULES, Pooling


class Group(NamedTuple):
    """Texts `start:stop` of a sorted batch, each `length` tokens long.

    `token` is the position where the first of them starts if the batch is packed in one
    row.
    """

    start: int
    stop: int
    length: int
    token: int


def equal_lengths(lengths: Sequence[int] | Int[np.ndarray, " batch"]) -> list[Group]:
    """The runs of equal values in `lengths`, in order; each text is in one run."""
    groups: list[Group] = []
    token = 0
    for position, length in enumerate(int(length) for length in lengths):
        if groups and groups[-1].length == length:
            groups[-1] = groups[-1]._replace(stop=position + 1)
        else:
            groups.append(Group(position, position + 1, length, token))
        token += length
    return groups


def view(
    hidden: Float[Tensor, "batch pos d_feat"], group: Group, *, packed: bool
) -> Float[Tensor, "texts length d_feat"]:
    """The real tokens of one group, without a copy, from a padded or packed batch."""
    if packed:
        stop = group.token + (group.stop - group.start) * group.length
        return hidden[0, group.token : stop].unflatten(0, (-1, group.length))
    return hidden[group.start : group.stop, : group.length]


def pool(
    hidden: Float[Tensor, "batch pos d_feat"],
    mask: Bool[Tensor, "batch pos"],
    pooling: Pooling,
) -> Float[Tensor, "batch d_feat"]:
    """One value a neuron, by `pooling`, of the positions where `mask` is true.

    Every text must have a token. Padding never leaks: values under a false mask, even
    NaN and inf, do not change the result. The result is float32; the mean is
    accumulated in float32.
    """
    return POOLING_RULES[pooling].with_mask(hidden, mask)


def pool_groups(
    hidden: Float[Tensor, "batch pos d_feat"],
    groups: Sequence[Group],
    pooling: Pooling,
    *,
    packed: bool = False,
) -> Float[Tensor, "texts d_feat"]:
    """The same values as `pool`: one row per text, float32, in sorted order.

    `hidden` is right-padded, or packed: one row with the tokens of all texts and no
    gaps.
    """
    n = groups[-1].stop
    out = torch.empty(n, hidden.shape[-1], device=hidden.device)
    for group in groups:
        real = view(hidden, group, packed=packed)
        POOLING_RULES[pooling].over_tokens(real, out[group.start : group.stop])
    return out
