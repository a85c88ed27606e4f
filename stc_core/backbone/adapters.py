"""Small trainable parts in a frozen model: LoRA (by peft) and bottleneck adapters.

LoRA: arXiv 2106.09685. Bottleneck: arXiv 1902.00751, placed as in 2005.00247: after the
down-projection of a block.
"""

import warnings
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

BOTTLENECK = "bottleneck"


class Bottleneck(nn.Module):
    """h + up(gelu(down(h))); it is the identity until it is trained."""

    def __init__(self, d_model: int, width: int) -> None:
        super().__init__()
        self.down = nn.Linear(d_model, width)
        self.up = nn.Linear(width, d_model)
        nn.init.normal_(self.down.weight, std=0.02)
        nn.init.zeros_(self.down.bias)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        added = self.up(
            nn.functional.gelu(self.down(hidden.to(self.down.weight.dtype)))
        )
        return hidden + added.to(hidden.dtype)


def linears(block: nn.Module, prefix: str) -> list[str]:
    """Names of the linear layers in a block, whose own name is `prefix`."""
    return [
        f"{prefix}.{name}"
        for name, module in block.named_modules()
        if isinstance(module, (nn.Linear, Conv1D))
    ]


def add_bottlenecks(model: nn.Module, names: Sequence[str], width: int) -> None:
    """Add a bottleneck after each named linear layer; no module changes its name."""
    for name in names:
        linear = model.get_submodule(name)
        weight = cast(Tensor, linear.weight)
        d_model = weight.shape[1 if isinstance(linear, Conv1D) else 0]
        adapter = Bottleneck(d_model, width).to(weight.device, weight.dtype)
        linear.add_module(BOTTLENECK, adapter)
        linear.register_forward_hook(_after)


def _after(linear: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    return linear.get_submodule(BOTTLENECK)(output)


def lora_config(model: nn.Module, names: Sequence[str], rank: int) -> Any:
    """The settings of peft for low-rank changes to the named linear layers."""
    from peft import LoraConfig

    kinds = {type(model.get_submodule(name)) for name in names}
    return LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules=list(names),
        fan_in_fan_out=Conv1D in kinds,
    )


def add_lora(model: nn.Module, names: Sequence[str], rank: int) -> None:
    """Add low-rank changes to the named linear layers; they are zero until trained."""
    from peft import inject_adapter_in_model

    config = lora_config(model, names, rank)
    with warnings.catch_warnings():  # a model may have both kinds of linear layer
        warnings.filterwarnings("ignore", message="fan_in_fan_out")
        inject_adapter_in_model(config, model)


def merge_lora(model: nn.Module) -> None:
    """Add the low-rank changes to the weights and restore the model's own layers."""
    from peft.tuners.lora import LoraLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            base = cast(nn.Module, module.get_base_layer())
            with torch.no_grad():
                cast(Any, module).merge(safe_merge=True)
            model.set_submodule(name, base)
