"""Which module of a block is the down-projection of its feed-forward network (FFN).

It maps what a linear layer widened back to the block's width, token by token. A second
trial forward finds it: the outputs of the widening layers are disturbed at one token.
The input of a down-projection then changes at that token alone. In attention,
recurrence and convolution other tokens change too; the inputs of modules that no
widening layer feeds do not change at all.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from stc_core.backbone.structure.config_fields import field, text_config
from stc_core.backbone.structure.trace import (
    TRIAL,
    Call,
    input_states,
    is_linear,
    replace_argument,
)

DISTURBED_TOKEN = TRIAL[1] + 1
"""The disturbed token, counted through all texts: the middle token of the second text.
"""
ROUNDING = 1e-6
"""A difference below this share of the largest value counts as no change."""
_WIDTHS = (
    "intermediate_size encoder_ffn_dim decoder_ffn_dim ffn_dim d_ff n_inner d_inner "
    "hidden_dim ffn_hidden_size inner_dim dim_ff intermediate_size_mlp"
).split()
"""The config fields that may hold the width of an FFN."""


def named_down(block: Call, calls: Sequence[Call], path: str) -> Call | None:
    """The call of the module at `path` in a block; ".-1." is the last of a list."""
    if ".-1." in path:
        head, tail = path.split(".-1.")
        try:
            members = block.module.get_submodule(head)
        except AttributeError:
            return None
        path = f"{head}.{len(members._modules) - 1}.{tail}"
    wanted = f"{block.name}.{path}"
    return next((c for c in calls if block.contains(c) and c.name == wanted), None)


def find_downs(
    model: nn.Module,
    stacks: Sequence[Sequence[Call]],
    calls: Sequence[Call],
    forward: Callable[[], object],
) -> list[list[Call | None]]:
    """The call of each block's down-projection, stack by stack; None if uncertain.

    If several modules qualify, it is the one whose width the config gives. If that does
    not single one out, it is None.
    """
    blocks = [block for stack in stacks for block in stack]
    options = {block.start: _options(block, calls) for block in blocks}
    downs = [call for linear_layers in options.values() for call in linear_layers]
    ups = [up for block in blocks for up in _ups(block, calls)]
    disturbance = _Disturbance(blocks, ups, downs)
    if downs and ups:
        disturbance.run(forward)
    changed = disturbance.changed
    certain = {
        start: [c for c in linear_layers if changed.get(c.start) == [DISTURBED_TOKEN]]
        for start, linear_layers in options.items()
    }
    widths = _config_widths(model)
    return [
        [_single(certain[block.start], widths) for block in stack] for stack in stacks
    ]


def _options(block: Call, calls: Sequence[Call]) -> list[Call]:
    """Linear layers outside attention whose output has the block's width."""
    assert block.output is not None
    width = block.output[-1]
    return [
        call
        for call in _products(block, calls)
        if call.output is not None and call.output[-1] == width
    ]


def _ups(block: Call, calls: Sequence[Call]) -> list[Call]:
    """Linear layers outside attention whose input has the block's width."""
    assert block.output is not None
    width = block.output[-1]
    return [
        call
        for call in _products(block, calls)
        if call.input is not None and call.input[-1] == width
    ]


def _products(block: Call, calls: Sequence[Call]) -> list[Call]:
    """The linear layers of a block, without those of attention and nested ones."""
    inner = [call for call in calls if block.contains(call)]
    closed = [
        call
        for call in inner
        if is_linear(call.module) or "attention" in type(call.module).__name__.lower()
    ]
    return [
        call
        for call in inner
        if is_linear(call.module)
        and call.before is not None
        and not any(other.contains(call) for other in closed)
    ]


class _Disturbance:
    """Hooks that disturb what the widening layers give, and see where it arrives.

    Blocks and widening layers get their undisturbed inputs again, so that the change in
    one cannot reach the next by another way. `changed` holds the tokens at which each
    down-projection's input changes, by the `start` of its call.
    """

    def __init__(
        self, blocks: Sequence[Call], ups: Sequence[Call], downs: Sequence[Call]
    ) -> None:
        self.changed: dict[int, list[int]] = {}
        self._fixed = {(c.module, c.times): c for c in (*blocks, *ups)}
        self._watched = {(c.module, c.times): c for c in downs}
        self._widening = {(c.module, c.times) for c in ups}
        self._n_calls: dict[nn.Module, int] = {}

    def run(self, forward: Callable[[], object]) -> None:
        """Run `forward` once with the hooks, and remove them."""
        with ExitStack() as stack:
            for module in {key[0] for key in (*self._fixed, *self._watched)}:
                pre_hook = module.register_forward_pre_hook(
                    self._enter, with_kwargs=True, prepend=True
                )
                stack.callback(pre_hook.remove)
                stack.callback(module.register_forward_hook(self._leave).remove)
            forward()

    def _enter(self, module: nn.Module, args: tuple, kwargs: dict) -> Any:
        key = (module, self._n_calls.get(module, 0))
        states = input_states(args, kwargs)
        if states is None:
            return None
        if key in self._watched:
            call = self._watched[key]
            self.changed[call.start] = _where(call.before, states)
        before = self._fixed[key].before if key in self._fixed else None
        if before is None:
            return None
        return replace_argument(args, kwargs, states, before.clone())

    def _leave(self, module: nn.Module, args: tuple, output: Any) -> Any:
        key = (module, self._n_calls.get(module, 0))
        self._n_calls[module] = key[1] + 1
        is_widening = key in self._widening and isinstance(output, Tensor)
        return _disturb(output) if is_widening else None


def _disturb(output: Tensor) -> Tensor:
    """The output with the values of one token replaced by large ones of both signs."""
    rows = output.flatten(0, -2).clone()  # (texts x tokens, d)
    larger = rows[DISTURBED_TOKEN].abs().max() + 1
    signs = torch.ones_like(rows[DISTURBED_TOKEN])
    signs[::2] = -1
    rows[DISTURBED_TOKEN] = rows[DISTURBED_TOKEN].roll(1) + larger * signs
    return rows.view_as(output)


def _where(before: Tensor | None, after: Tensor) -> list[int]:
    """The tokens at which two states differ, counted through all texts."""
    if before is None or before.shape != after.shape:
        return []
    threshold = ROUNDING * float(before.abs().max())
    differs = ((before - after.detach()).abs() > threshold).flatten(0, -2).any(-1)
    return differs.nonzero().flatten().tolist()


def _single(calls: Sequence[Call], widths: set[int]) -> Call | None:
    """The only call; of several the only one with an input width in `widths`."""
    if len(calls) > 1:
        calls = [c for c in calls if c.input is not None and c.input[-1] in widths]
    return calls[0] if len(calls) == 1 else None


def _config_widths(model: nn.Module) -> set[int]:
    """The FFN widths that the model's config gives."""
    config = text_config(getattr(model, "config", None))
    widths: set[int] = set()
    for name in _WIDTHS:
        value = field(config, name)
        values = value if isinstance(value, (list, tuple)) else [value]
        widths |= {n for n in values if isinstance(n, int)}
    return widths
