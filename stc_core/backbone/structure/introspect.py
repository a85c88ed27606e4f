"""What a model is, found out by a few forwards of a few tokens."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from stc_core.backbone.hooks import read_sites
from stc_core.backbone.packing import Batch, can_pack, make_batch
from stc_core.backbone.structure.sites import Anatomy, Point, find_sites
from stc_core.backbone.structure.trace import TRIAL
from stc_core.errors import StcError
from stc_core.types import Site

_SEEN = {4: 1e-4, 2: 0.05}
"""By the bytes of a number: what part of the largest state no rounding comes to."""


class Look(NamedTuple):
    """`causal`: a token is blind to those after it. `sees_padding`: a text's states
    change with the padding beside it, as where a model mixes or convolves tokens."""

    anatomy: Anatomy
    causal: bool
    sees_padding: bool


def look(
    model: nn.Module,
    run: Callable[[Batch], object],
    *,
    name: str,
    device: torch.device,
) -> Look:
    """The model behind `run`, which computes one batch.

    Raises StcError if its blocks do not give a state for each token.
    """
    config = getattr(model, "config", None)
    same = np.arange(TRIAL[1], dtype=np.int32)
    other = same.copy()  # in the last token only
    other[-1] += 1

    def batch_of(*texts: np.ndarray) -> Batch:
        return make_batch(texts, config, device=device, packed=False)

    batch = batch_of(same, other)
    with torch.inference_mode():
        anatomy = find_sites(model, lambda: run(batch))
    top = max(site for site in anatomy.points if site.kind == "resid")
    points = {top: anatomy.points[top]}
    states = _states(run, batch, points, name=name)
    causal = torch.equal(states[0, 0], states[1, 0])
    if can_pack(model):  # such families are proven to read each text alone
        return Look(anatomy, causal, sees_padding=False)
    short = same[:-1]
    alone = _states(run, batch_of(short), points, name=name)[0]
    beside = _states(run, batch_of(short, other), points, name=name)[0, : len(short)]
    most = _SEEN[alone.itemsize] * float(alone.abs().max())
    return Look(anatomy, causal, float((alone - beside).abs().max()) > most)


def _states(
    run: Callable[[Batch], object],
    batch: Batch,
    points: dict[Site, Point],
    *,
    name: str,
) -> Tensor:
    """The states (text, token, width) of the one site among `points`."""
    found: list[Tensor] = []
    read_sites(lambda: run(batch), points, lambda _, hidden: found.append(hidden))
    shape = tuple(found[0].shape)
    if len(shape) != 3 or shape[:2] != batch.mask.shape:
        raise StcError(
            f"backbone {name!r}",
            expected=f"blocks that give (text, token, width) = "
            f"{tuple(batch.mask.shape)} + (width,)",
            got=str(shape),
            remedy="Choose another model: this one does not keep a state per token.",
        )
    return found[0].clone()
