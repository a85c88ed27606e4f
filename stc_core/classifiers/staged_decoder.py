"""A decoder run in stages: lower blocks first, upper blocks when they are needed.

Each stage caches its own keys and values. The output of a lower stage waits until the
next stage reads it in one batched prefill, so no block reads a token twice.
"""

import copy
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import DynamicCache

from stc_core.backbone.backbone import Backbone
from stc_core.errors import StcError

NORMS = ("norm", "ln_f", "final_layer_norm", "final_layernorm")
"""The names that model families use for the norm above the last block."""


class StageCache(DynamicCache):
    """The keys and values of the blocks above the first `below` blocks.

    The blocks keep the layer index of the full model; the cache subtracts `below`.
    """

    def __init__(self, below: int) -> None:
        super().__init__()
        self.below = below

    def update(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args, **kwargs
    ) -> tuple[Tensor, Tensor]:
        place = layer_idx - self.below
        return super().update(key_states, value_states, place, *args, **kwargs)


class Stage(NamedTuple):
    """Blocks `first` to `last` (counted from 1) as a model that returns raw states."""

    first: int
    last: int
    model: nn.Module


class Stages:
    """The blocks of a decoder, cut after each of `ends`.

    `norm` is the norm of the model above its last block. If a block attends within a
    window, longer texts must be read one at a time, because a batch has gaps.
    """

    def __init__(self, backbone: Backbone, ends: Sequence[int]) -> None:
        owner, name = _owner(backbone)
        norm: nn.Module = getattr(owner, _norm_name(owner, backbone))
        down = getattr(owner, "project_out", None)  # OPT projects to its word width
        self.norm = norm if down is None else nn.Sequential(norm, down)
        self.backbone = backbone
        self.stages = [
            Stage(below + 1, end, _part(owner, name, below, end))
            for below, end in zip((0, *ends), ends, strict=False)
        ]

    def begin(
        self, ids: Int[Tensor, "batch pos"], mask: Bool[Tensor, "batch pos"]
    ) -> "Reading":
        """A reading of these prompts, padded on the left; it runs nothing yet."""
        return Reading(self, ids, mask)


class Reading:
    """Texts that grow token by token, and how far each stage has read them.

    `block_tokens[s]` counts the real tokens that stage s has read, times its blocks.
    """

    def __init__(self, stages: Stages, ids: Tensor, mask: Tensor) -> None:
        self.stages, self.ids, self.mask = stages, ids, mask
        n = len(stages.stages)
        self.caches = [StageCache(stage.first - 1) for stage in stages.stages]
        self.done = [0] * n
        self.waiting: list[list[Tensor]] = [[] for _ in range(n)]
        self.last: list[Tensor | None] = [None] * n
        self.block_tokens = [0] * n

    def push(self, tokens: Int[Tensor, " batch"], real: Bool[Tensor, " batch"]) -> None:
        """Add one token to each text; where `real` is false it is padding."""
        self.ids = torch.cat([self.ids, tokens[:, None]], dim=1)
        self.mask = torch.cat([self.mask, real[:, None]], dim=1)

    @torch.inference_mode()
    def states(self, stage: int) -> Float[Tensor, "batch d_model"]:
        """The state of the last token of each text above a stage.

        Runs only what this stage and the stages below have not read yet.
        """
        for s in range(stage + 1):
            if self.done[s] < self.ids.shape[1]:
                self._catch_up(s)
        last = self.last[stage]
        assert last is not None, "nothing has been read"
        return last

    def _catch_up(self, s: int) -> None:
        start, stage = self.done[s], self.stages.stages[s]
        hidden_below = torch.cat(self.waiting[s], dim=1) if s else None
        self.waiting[s].clear()
        positions = (self.mask.long().cumsum(1) - 1).clamp(min=0)
        with self.stages.backbone.alone(), _entered(stage.model, hidden_below):
            hidden = stage.model(
                input_ids=self.ids[:, start:],
                attention_mask=self.mask.long(),
                position_ids=positions[:, start:],
                past_key_values=self.caches[s],
                use_cache=True,
            ).last_hidden_state
        self.done[s] = self.ids.shape[1]
        real = self.mask[:, start:]
        self.block_tokens[s] += int(real.sum()) * (stage.last - stage.first + 1)
        if s + 1 < len(self.waiting):
            self.waiting[s + 1].append(hidden)
        self.last[s] = _last_real(hidden, real, self.last[s])


def _last_real(hidden: Tensor, real: Tensor, before: Tensor | None) -> Tensor:
    """The states of the last real tokens; `before` for a text without a real token."""
    places = torch.arange(real.shape[1], device=real.device)
    at = torch.where(real, places, -1).amax(1)  # (batch,)
    states = hidden[torch.arange(len(hidden), device=real.device), at.clamp(min=0)]
    return states if before is None else torch.where(at[:, None] >= 0, states, before)


def _owner(backbone: Backbone) -> tuple[nn.Module, str]:
    """The module that runs the blocks, and the name of its list of them."""
    first = backbone.block(1)
    for module in backbone.model.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ModuleList) and first in list(child):
                if len(child) == backbone.n_layers and backbone.causal:
                    return module, name
    raise StcError(
        f"decoding with {backbone.name}",
        expected="a decoder whose blocks are a list",
        got=backbone.family,
        remedy="Choose class heads: --heads class.",
    )


def _norm_name(owner: nn.Module, backbone: Backbone) -> str:
    for name in NORMS:
        if isinstance(getattr(owner, name, None), nn.Module):
            return name
    raise StcError(
        f"decoding with {backbone.name}",
        expected=f"a norm above the last block, called {', '.join(NORMS)}",
        got=backbone.family,
        remedy="Choose class heads: --heads class.",
    )


def _part(owner: nn.Module, name: str, below: int, end: int) -> nn.Module:
    """A copy of the module with blocks `below` to `end`, no norm, a matching config."""
    part = copy.copy(owner)
    part._modules = dict(owner._modules)
    blocks = cast(nn.ModuleList, getattr(owner, name))
    setattr(part, name, nn.ModuleList(blocks[below:end]))
    norm = next(n for n in NORMS if isinstance(getattr(owner, n, None), nn.Module))
    setattr(part, norm, nn.Identity())
    if hasattr(part, "project_out"):
        part._modules["project_out"] = None
    config = copy.copy(cast(Any, owner.config))
    config.num_hidden_layers = end - below
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[below:end]
    part.config = config  # pyright: ignore[reportAttributeAccessIssue]
    part._entry = blocks[below : below + 1][0]  # pyright: ignore
    return part


@contextmanager
def _entered(model: nn.Module, hidden: Tensor | None):
    """A context in which the first block of `model` gets `hidden`, not embeddings."""
    if hidden is None:
        yield
        return

    def give(block: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        if args and isinstance(args[0], Tensor):
            return (hidden, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": hidden}

    entry = cast(nn.Module, model._entry)
    handle = entry.register_forward_pre_hook(give, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
