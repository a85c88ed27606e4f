"""Which module of a block is the down-projection of its feed-forward network (FFN).

It brings back to the block's width what a linear layer widened, token by token. In a
second trial forward the widening layers are disturbed at one token: what comes to a
down-projection then changes at that token alone, in attention, recurrence and
convolution at others too, and nowhere in what no such layer feeds.
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
    carried,
    is_linear,
    replaced_argument,
)

AT = TRIAL[1] + 1
"""The token that is disturbed, counted through all texts: the middle of the second."""
ROUNDING = 1e-6
"""What part of the largest value is no change."""
_WIDTHS = (
    "intermediate_size encoder_ffn_dim decoder_ffn_dim ffn_dim d_ff n_inner d_inner "
    "hidden_dim ffn_hidden_size inner_dim dim_ff intermediate_size_mlp"
).split()
"""What configs call the width of an FFN."""


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
    """For each block of each stack the call of its down-projection, if it is certain.

    Of several the one whose width the config says; of two alike none.
    """
    blocks = [block for stack in stacks for block in stack]
    options = {block.start: _options(block, calls) for block in blocks}
    downs = [call for found in options.values() for call in found]
    ups = [up for block in blocks for up in _ups(block, calls)]
    changed = _disturbed(blocks, ups, downs, forward) if downs and ups else {}
    certain = {
        start: [c for c in found if changed.get(c.start) == [AT]]
        for start, found in options.items()
    }
    widths = _said_widths(model)
    return [[_one(certain[block.start], widths) for block in stack] for stack in stacks]


def _options(block: Call, calls: Sequence[Call]) -> list[Call]:
    """Products back to the block's width; those of attention do not count."""
    assert block.output is not None
    width = block.output[-1]
    return [
        call
        for call in _products(block, calls)
        if call.output is not None and call.output[-1] == width
    ]


def _ups(block: Call, calls: Sequence[Call]) -> list[Call]:
    """Products that read states of the block's width."""
    assert block.output is not None
    width = block.output[-1]
    return [
        call
        for call in _products(block, calls)
        if call.input is not None and call.input[-1] == width
    ]


def _products(block: Call, calls: Sequence[Call]) -> list[Call]:
    """The linear layers of a block, save attention's and those inside another one."""
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


def _disturbed(
    blocks: Sequence[Call],
    ups: Sequence[Call],
    downs: Sequence[Call],
    forward: Callable[[], object],
) -> dict[int, list[int]]:
    """By a down-projection's `start` the tokens at which what comes to it changes.

    Blocks and widening layers are given what they got before, so that a change of one
    does not reach the next by another way.
    """
    held = {(c.module, c.times): c for c in (*blocks, *ups)}
    watched = {(c.module, c.times): c for c in downs}
    widening = {(c.module, c.times) for c in ups}
    seen: dict[nn.Module, int] = {}
    changed: dict[int, list[int]] = {}

    def enter(module: nn.Module, args: tuple, kwargs: dict) -> Any:
        key = (module, seen.get(module, 0))
        given = carried(args, kwargs)
        if key in watched and given is not None:
            changed[watched[key].start] = _where(watched[key].before, given)
        if key in held and held[key].before is not None and given is not None:
            before = held[key].before
            assert before is not None
            return replaced_argument(args, kwargs, given, before.clone())
        return None

    def leave(module: nn.Module, args: tuple, output: Any) -> Any:
        key = (module, seen.get(module, 0))
        seen[module] = key[1] + 1
        disturbed = key in widening and isinstance(output, Tensor)
        return _disturb(output) if disturbed else None

    with ExitStack() as stack:
        for module in {key[0] for key in (*held, *watched)}:
            first = module.register_forward_pre_hook(
                enter, with_kwargs=True, prepend=True
            )
            stack.callback(first.remove)
            stack.callback(module.register_forward_hook(leave).remove)
        forward()
    return changed


def _disturb(output: Tensor) -> Tensor:
    """The same but at one token, where all values are others, of either sign."""
    rows = output.flatten(0, -2).clone()  # (texts x tokens, d)
    most = rows[AT].abs().max() + 1
    signs = torch.ones_like(rows[AT])
    signs[::2] = -1
    rows[AT] = rows[AT].roll(1) + most * signs
    return rows.view_as(output)


def _where(before: Tensor | None, after: Tensor) -> list[int]:
    """The tokens at which two states differ, counted through all texts."""
    if before is None or before.shape != after.shape:
        return []
    least = ROUNDING * float(before.abs().max())
    differs = ((before - after.detach()).abs() > least).flatten(0, -2).any(-1)
    return differs.nonzero().flatten().tolist()


def _one(found: Sequence[Call], widths: set[int]) -> Call | None:
    if len(found) > 1:
        found = [c for c in found if c.input is not None and c.input[-1] in widths]
    return found[0] if len(found) == 1 else None


def _said_widths(model: nn.Module) -> set[int]:
    config = text_config(getattr(model, "config", None))
    found: set[int] = set()
    for name in _WIDTHS:
        value = field(config, name)
        values = value if isinstance(value, (list, tuple)) else [value]
        found |= {n for n in values if isinstance(n, int)}
    return found
