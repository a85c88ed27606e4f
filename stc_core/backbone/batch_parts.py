"""Texts of a batch that must be read apart, part by part, and put together again."""

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
    """How many tokens each text has."""
    return np.array([len(row) for row in ids], int)


def equal(groups: Int[np.ndarray, " texts"]) -> list[np.ndarray]:
    """The places of the texts of each group, in the order of the groups' numbers."""
    return [np.flatnonzero(groups == group) for group in np.unique(groups)]


def in_order(found: Sequence[Mapping[_K, Tensor]], parts: Parts) -> dict[_K, Tensor]:
    """One tensor of the tensors of the parts, its rows as the texts were given."""
    order = torch.from_numpy(np.argsort(np.concatenate(parts)))
    out: dict[_K, Tensor] = {}
    for key in found[0]:
        rows = torch.cat([part[key] for part in found])
        out[key] = rows[order.to(rows.device)]
    return out


def read_padded(
    inputs: Mapping[str, Tensor],
    lengths: Int[np.ndarray, " texts"],
    parts: Parts,
    read: Callable[[dict[str, Tensor]], dict[_K, Tensor]],
) -> dict[_K, Tensor]:
    """What `read` gives, (batch, pos, width), of each part of a padded batch.

    A part is as long as its longest text; beyond that the values are 0.
    """
    longest = inputs["input_ids"].shape[1]
    found = []
    for rows in parts:
        stop = int(lengths[rows].max())
        made = read({name: x[rows, :stop] for name, x in inputs.items()})
        beyond = (0, 0, 0, longest - stop)
        found.append({key: functional.pad(x, beyond) for key, x in made.items()})
    return in_order(found, parts)
