"""Splits a batch into parts that must be read separately, and joins their results."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn import functional

_K = TypeVar("_K")
Parts = Sequence[Int[np.ndarray, " _"]]


def lengths_of(ids: Sequence[np.ndarray]) -> Int[np.ndarray, " texts"]:
    """The number of tokens of each text."""
    return np.array([len(row) for row in ids], int)


def group_positions(groups: Int[np.ndarray, " texts"]) -> list[np.ndarray]:
    """The positions of the texts of each group, in the order of the groups' numbers."""
    return [np.flatnonzero(groups == group) for group in np.unique(groups)]


def join_parts(
    results: Sequence[Mapping[_K, Tensor]], parts: Parts
) -> dict[_K, Tensor]:
    """The parts' tensors joined, with rows in the original order of the texts."""
    order = torch.from_numpy(np.argsort(np.concatenate(parts)))
    out: dict[_K, Tensor] = {}
    for key in results[0]:
        rows = torch.cat([part[key] for part in results])
        out[key] = rows[order.to(rows.device)]
    return out


def read_padded(
    inputs: Mapping[str, Tensor],
    lengths: Int[np.ndarray, " texts"],
    parts: Parts,
    read: Callable[[dict[str, Tensor]], dict[_K, Tensor]],
) -> dict[_K, Tensor]:
    """The result of `read`, (batch, pos, width), on each part of a padded batch.

    A part is as long as its longest text; beyond that the values are 0.
    """
    longest = inputs["input_ids"].shape[1]
    results = []
    for rows in parts:
        stop = int(lengths[rows].max())
        values = read({name: x[rows, :stop] for name, x in inputs.items()})
        padding = (0, 0, 0, longest - stop)
        results.append({key: functional.pad(x, padding) for key, x in values.items()})
    return join_parts(results, parts)
