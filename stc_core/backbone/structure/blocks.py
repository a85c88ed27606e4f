"""Which modules are the blocks of a model, checked against its own hidden states."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from stc_core.backbone.structure.config_fields import field, text_config
from stc_core.backbone.structure.trace import TRIAL, Call
from stc_core.errors import StcError

Stack = list[Call]
States = Sequence[Tensor]
_DEPTHS = {
    "encoder": ("encoder_layers", "num_encoder_layers", "num_layers"),
    "decoder": ("decoder_layers", "num_decoder_layers", "num_layers"),
    "": ("num_hidden_layers",),
}
"""The config fields that hold the number of blocks of a stack."""
UNSEEN = (
    "This model does not return its hidden states, so its sites are found by the "
    "shapes of its modules alone."
)


def shown_states(output: object, *, has_decoder: bool) -> list[States] | None:
    """The hidden states that the model itself returns, stack by stack; None if none."""
    names = ("encoder_hidden_states", "decoder_hidden_states")
    shown = [
        getattr(output, n, None) for n in (names if has_decoder else ("hidden_states",))
    ]
    stacks: list[States] = [
        list(s) for s in shown if isinstance(s, (tuple, list)) and s
    ]
    return stacks if len(stacks) == len(shown) else None


def check_repeatable(model: nn.Module) -> None:
    """StcError for a model whose states for the same text differ from run to run."""
    layers = getattr(getattr(model, "config", None), "attn_layers", None) or ()
    if "lsh" in layers:
        raise StcError(
            f"backbone {type(model).__name__}",
            expected="the same states each time a text is read",
            got="attention by random hashing (LSH)",
            remedy="Choose another model.",
        )


def named_stacks(calls: Sequence[Call], paths: Sequence[str]) -> list[Stack]:
    """The calls of the blocks under each path, in which * stands for any one name."""
    return [[call for call in calls if _matches(call.name, path)] for path in paths]


def candidate_stacks(model: nn.Module, calls: Sequence[Call]) -> dict[str, Stack]:
    """Groups of sibling modules that keep the shape (text, token, d), by parent's name.

    A group is the members of a ModuleList, of whatever class, or at least two siblings
    of one class. The heaviest group comes first. Of equally heavy ones the inner group
    comes first, so that a shared block is counted and not its wrapper.
    """
    lists = {name for name, m in model.named_modules() if isinstance(m, nn.ModuleList)}
    groups: dict[tuple[str, type | None], Stack] = {}
    for call in calls:
        if _keeps_shape(call) and any(True for _ in call.module.children()):
            parent = call.name.rpartition(".")[0]
            kind = None if parent in lists else type(call.module)
            groups.setdefault((parent, kind), []).append(call)
    stacks = {
        parent: group
        for (parent, kind), group in groups.items()
        if kind is None or len({call.module for call in group}) > 1
    }
    order = sorted(
        stacks, key=lambda p: (_weight(stacks[p]), p.count(".")), reverse=True
    )
    return {parent: stacks[parent] for parent in order}


def choose_blocks(
    model: nn.Module,
    calls: Sequence[Call],
    shown: list[States] | None,
    *,
    known: list[Stack] | None,
) -> list[Stack]:
    """The stack of blocks, or one each of encoder and decoder, in computing order.

    `known` are the stacks found by the table of families. If the model returns its
    hidden states, only blocks between these states qualify; StcError if there are none.
    """
    has_decoder = getattr(getattr(model, "config", None), "is_encoder_decoder", False)
    parts = ("encoder", "decoder") if has_decoder else ("",)
    stacks: list[Stack] = []
    for position, part in enumerate(parts):
        options = _options(model, calls, part, position, known)
        if shown is not None:
            options = [o for o in options if agrees(o, calls, shown[position])]
        if not options:
            raise _no_blocks(model, part, shown is not None)
        stacks.append(options[0])
        _check_depth(model, part, len(options[0]))
    return stacks


def agrees(stack: Stack, calls: Sequence[Call], states: States) -> bool:
    """Whether `states` are the inputs of each block, and the output of the last block.

    The last state may have passed through a norm or any chain of modules. A recurrent
    model may return the outputs of the blocks instead, with the last output twice.
    """
    if len(states) != len(stack) + 1:
        return False
    if not any(_same(x, states[-1]) for x in _onward(stack[-1], calls)):
        return False
    inputs = [block.before for block in stack]
    later = [*inputs[1:], stack[-1].after]
    return _all_same(inputs, states[:-1]) or _all_same(later, states[:-1])


def _options(
    model: nn.Module,
    calls: Sequence[Call],
    part: str,
    position: int,
    known: list[Stack] | None,
) -> list[Stack]:
    """The stacks that may be the blocks of this part, the known one first."""
    by_name = [known[position]] if known is not None and known[position] else []
    stacks = candidate_stacks(model, calls)
    if not part:
        return by_name + list(stacks.values())
    in_part = [stack for name, stack in stacks.items() if part in name.split(".")]
    return by_name + in_part


def _onward(block: Call, calls: Sequence[Call]) -> Iterator[Tensor | None]:
    """Yield a block's output, and what later modules make of it."""
    yield block.after
    reached = [block.after]
    for call in calls:
        if call.start > block.stop and any(_same(call.before, x) for x in reached):
            reached.append(call.after)
            yield call.after


def _check_depth(model: nn.Module, part: str, depth: int) -> None:
    """StcError if the config gives another number of blocks than was found."""
    config = text_config(getattr(model, "config", None))
    counts = [field(config, name) for name in _DEPTHS[part]]
    expected = next((n for n in counts if isinstance(n, int)), None)
    if expected is not None:
        expected *= (
            field(config, "inner_group_num") or 1
        )  # ALBERT: blocks in each layer
    if expected not in (None, depth):
        raise StcError(
            f"{part} blocks of {type(model).__name__}".strip(),
            expected=f"{expected}, as its config says",
            got=f"{depth} found in a trial forward",
            remedy="Choose another model, or correct the number in its config.",
        )


def _no_blocks(model: nn.Module, part: str, shown: bool) -> StcError:
    """The error for a model or part without blocks."""
    in_part = f" in the {part}" if part else ""
    if not shown:
        return StcError(
            f"backbone {type(model).__name__}",
            expected=f"a stack of blocks that keep (text, token, width){in_part}",
            got="no such blocks in a trial forward",
            remedy="Choose another model.",
        )
    return StcError(
        f"backbone {type(model).__name__}",
        expected=f"a stack of blocks whose states are its hidden states{in_part}",
        got="none: the states of its modules are not the hidden states it returns",
        remedy="Choose another model: the layers of this one cannot be read reliably.",
    )


def _keeps_shape(call: Call) -> bool:
    """Whether the call keeps the shape (text, token, d), as a block of a stack does."""
    shape = call.input
    return (
        shape is not None
        and len(shape) == 3
        and shape[:2] == TRIAL
        and call.output == shape
    )


def _same(tensor: Tensor | None, other: object) -> bool:
    if tensor is None or not isinstance(other, Tensor) or tensor.shape != other.shape:
        return False
    return torch.equal(tensor, other)


def _all_same(tensors: Sequence[Tensor | None], states: States) -> bool:
    return all(
        _same(tensor, state) for tensor, state in zip(tensors, states, strict=True)
    )


def _weight(group: Sequence[Call]) -> int:
    return sum(
        p.numel()
        for module in {call.module for call in group}
        for p in module.parameters()
    )


def _matches(name: str, pattern: str) -> bool:
    parts, wanted = name.split("."), pattern.split(".")
    return len(parts) == len(wanted) and all(
        b in ("*", a) for a, b in zip(parts, wanted, strict=True)
    )
