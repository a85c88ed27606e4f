"""The choice of the blocks of a backbone to tune, and their preparation."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from stc_core.backbone.adapters import BOTTLENECK, linears
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.changes import Changes, add_parts, apply_cut, cut_after
from stc_core.errors import StcError
from stc_core.recipe_settings import TuneConfig

_WIDTHS = {"full": 0, "lora": 8, "bottleneck": 64}
"""The default rank of LoRA and the default width of a bottleneck."""


class TunePlan(NamedTuple):
    """The layer that the head reads, and the layers whose blocks learn, ascending."""

    layer: int
    tuned: tuple[int, ...]


def plan_tuning(
    backbone: Backbone, nu: Sequence[float], settings: TuneConfig
) -> TunePlan:
    """The layer of the head and the blocks that learn.

    `settings.where` says which: "variability", `settings.blocks` contiguous blocks that
    end at l*, the block with the lowest nu, or at `settings.layer`; "top", the same
    number at the top; "all", all blocks. The blocks are in one stack: those of a
    decoder do not reach into its encoder.
    """
    layers = [n for n in range(backbone.n_layers + 1) if backbone.block(n) is not None]
    if settings.where != "variability":
        end = layers[-1]
    elif settings.layer is None:
        end = min((n for n in layers if n < len(nu)), key=lambda layer: nu[layer])
    elif settings.layer in layers:
        end = settings.layer
    else:
        raise StcError(
            "layer to tune at",
            expected=f"a block of {backbone.name}: {layers[0]} to {layers[-1]}",
            got=str(settings.layer),
        )
    below = [end]
    while below[-1] - 1 in layers:
        below.append(below[-1] - 1)
    n = len(below) if settings.where == "all" else settings.blocks
    return TunePlan(end, tuple(sorted(below[:n])))


def changes_for(backbone: Backbone, plan: TunePlan, settings: TuneConfig) -> Changes:
    """The changes that tuning will make to `backbone`, which is not changed here."""
    names = {module: name for name, module in backbone.model.named_modules()}
    blocks = [backbone.block(layer) for layer in plan.tuned]
    parts: list[str] = []
    for layer, block in zip(plan.tuned, blocks, strict=True):
        assert block is not None, plan
        if settings.method == "full":
            parts.append(names[block])
        elif settings.method == "lora":
            parts += linears(block, names[block])
        else:
            parts.append(names[_down(backbone, layer)])
    above = [backbone.block(n) for n in range(plan.layer + 1, backbone.n_layers + 1)]
    cut = None
    if above and all(above):  # an encoder with a decoder above it is not cut
        end = backbone.block(plan.layer)
        assert end is not None, plan
        cut = cut_after(backbone.model, end, above=len(above))
    width = settings.width or _WIDTHS[settings.method]
    return Changes(
        backbone.name,
        backbone.identity,
        cut,
        settings.method,
        tuple(dict.fromkeys(parts)),
        0 if settings.method == "full" else width,
    )


def check_tuning(backbone: Backbone, settings: TuneConfig) -> None:
    """Raise StcError if `backbone` cannot be tuned with these settings.

    Which layer has the lowest nu is not known yet; any will do for this.
    """
    nu = [float(-layer) for layer in range(backbone.n_layers + 1)]
    changes_for(backbone, plan_tuning(backbone, nu, settings), settings)


class TunableBackbone(NamedTuple):
    """A backbone ready to be tuned, with the modules that learn and their blocks."""

    backbone: Backbone
    parts: list[nn.Module]
    blocks: list[nn.Module]


def cut_and_adapt(
    backbone: Backbone, plan: TunePlan, changes: Changes, *, seed: int
) -> TunableBackbone:
    """The backbone, cut and with new untrained adapters.

    The model of `backbone` is changed in place, so do not use `backbone` afterwards.
    """
    model = backbone.model
    if changes.cut is not None:
        apply_cut(model, changes.cut)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        add_parts(model, changes)
    tunable = Backbone(
        model,
        backbone.tokenizer,
        name=backbone.name,
        identity="tuned in memory",
        max_length=backbone.max_length,
    )
    parts = [model.get_submodule(name) for name in changes.tuned]
    if changes.method == BOTTLENECK:
        parts = [part.get_submodule(BOTTLENECK) for part in parts]
    blocks = [tunable.block(layer) for layer in plan.tuned]
    return TunableBackbone(
        tunable, parts, [block for block in blocks if block is not None]
    )


def checkpoint_blocks(backbone: Backbone) -> None:
    """Switch on gradient checkpointing, which recomputes activations to save memory."""
    model: Any = backbone.model
    if not getattr(model, "supports_gradient_checkpointing", False):
        raise StcError(
            f"gradient checkpointing of {backbone.name}",
            expected="a family that supports it",
            got=backbone.family,
            remedy="Leave --checkpointing out, and lower --batch instead.",
        )
    model.activation_checkpointing_enable({"use_reentrant": False})


def _down(backbone: Backbone, layer: int) -> nn.Module:
    projection = backbone.down_projection(layer)
    if projection is None:
        raise StcError(
            f"bottleneck adapters in {backbone.name}",
            expected="blocks whose down-projection is known",
            remedy="Choose the method lora or full.",
        )
    return projection
