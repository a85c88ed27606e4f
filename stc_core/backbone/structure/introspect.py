"""What a model is, found out by a few forward passes of a few tokens."""

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

_SEEN = {8: 1e-4, 4: 1e-4, 2: 0.05}
"""Share of the largest state that rounding never reaches, by the bytes of a number."""


class ModelTraits(NamedTuple):
    """The anatomy of a model, and how its tokens influence each other.

    `causal`: a token does not see the tokens after it. `sees_padding`: a text's states
    change with the padding beside it, as in models that mix or convolve tokens.
    """

    anatomy: Anatomy
    causal: bool
    sees_padding: bool


def examine_model(
    model: nn.Module,
    run: Callable[[Batch], object],
    *,
    name: str,
    device: torch.device,
) -> ModelTraits:
    """The traits of a model; `run` computes one batch of it.

    StcError if its blocks do not give a state for each token.
    """
    config = getattr(model, "config", None)
    text = np.arange(TRIAL[1], dtype=np.int32)
    other = text.copy()  # differs in the last token only
    other[-1] += 1

    def batch_of(*texts: np.ndarray) -> Batch:
        return make_batch(texts, config, device=device, packed=False)

    batch = batch_of(text, other)
    with torch.inference_mode():
        anatomy = find_sites(model, lambda: run(batch))
    top = max(site for site in anatomy.points if site.kind == "resid")
    points = {top: anatomy.points[top]}
    states = _states(run, batch, points, name=name)
    causal = torch.equal(states[0, 0], states[1, 0])
    if can_pack(model):  # these families are proven not to see padding
        return ModelTraits(anatomy, causal, sees_padding=False)
    short = text[:-1]
    alone = _states(run, batch_of(short), points, name=name)[0]
    beside = _states(run, batch_of(short, other), points, name=name)[0, : len(short)]
    threshold = _SEEN[alone.itemsize] * float(alone.abs().max())
    return ModelTraits(anatomy, causal, float((alone - beside).abs().max()) > threshold)


def _states(
    run: Callable[[Batch], object],
    batch: Batch,
    points: dict[Site, Point],
    *,
    name: str,
) -> Tensor:
    """The states (text, token, width) of the only site in `points`."""
    states: list[Tensor] = []
    read_sites(lambda: run(batch), points, lambda _, hidden: states.append(hidden))
    shape = tuple(states[0].shape)
    if len(shape) != 3 or shape[:2] != batch.mask.shape:
        raise StcError(
            f"backbone {name!r}",
            expected=f"blocks that give (text, token, width) = "
            f"{tuple(batch.mask.shape)} + (width,)",
            got=str(shape),
            remedy="Choose another model: this one does not keep a state per token.",
        )
    return states[0].clone()
