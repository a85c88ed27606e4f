"""Which modules are the blocks of a model, held against its own hidden states."""

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
"""Fields of a config that count the blocks of a stack."""
UNSEEN = (
    "This model does not show its hidden states, so its sites are found by the form of "
    "its modules alone."
)


def shown_states(output: object, *, both: bool) -> list[States] | None:
    """The hidden states that the model itself shows, stack by stack; None if none."""
    names = ("encoder_hidden_states", "decoder_hidden_states")
    found = [getattr(output, n, None) for n in (names if both else ("hidden_states",))]
    stacks: list[States] = [
        list(s) for s in found if isinstance(s, (tuple, list)) and s
    ]
    return stacks if len(stacks) == len(found) else None


def check_repeatable(model: nn.Module) -> None:
    """StcError for a model that reads the same long text in another way each time."""
    layers = getattr(getattr(model, "config", None), "attn_layers", None) or ()
    if "lsh" in layers:
        raise StcError(
            f"backbone {type(model).__name__}",
            expected="the same states each time a text is read",
            got="attention by random hashing (LSH)",
            remedy="Choose another model.",
        )


def named_stacks(calls: Sequence[Call], paths: Sequence[str]) -> list[Stack]:
    """The calls of the blocks under each path, where * stands for any one name."""
    return [[call for call in calls if _matches(call.name, path)] for path in paths]


def candidates(model: nn.Module, calls: Sequence[Call]) -> dict[str, Stack]:
    """Sets of siblings that keep (text, token, d) as it is, by their parent's name.

    The members of a ModuleList, of whatever class, or two or more of one class. The
    heaviest come first; of equally heavy ones the inner, so that a shared block is
    counted and not its wrapper.
    """
    lists = {name for name, m in model.named_modules() if isinstance(m, nn.ModuleList)}
    groups: dict[tuple[str, type | None], Stack] = {}
    for call in calls:
        if _keeps_shape(call) and any(True for _ in call.module.children()):
            parent = call.name.rpartition(".")[0]
            kind = None if parent in lists else type(call.module)
            groups.setdefault((parent, kind), []).append(call)
    found = {
        parent: group
        for (parent, kind), group in groups.items()
        if kind is None or len({call.module for call in group}) > 1
    }
    order = sorted(found, key=lambda p: (_weight(found[p]), p.count(".")), reverse=True)
    return {parent: found[parent] for parent in order}


def choose_blocks(
    model: nn.Module,
    calls: Sequence[Call],
    shown: list[States] | None,
    *,
    known: list[Stack] | None,
) -> list[Stack]:
    """The stack of blocks, or one each of encoder and decoder, in computing order.

    `known` are those of the table of families. Where the model shows its hidden states
    the blocks are those between them; StcError if none are.
    """
    both = getattr(getattr(model, "config", None), "is_encoder_decoder", False)
    parts = ("encoder", "decoder") if both else ("",)
    found: list[Stack] = []
    for place, part in enumerate(parts):
        options = _options(model, calls, part, place, known)
        if shown is not None:
            options = [o for o in options if agrees(o, calls, shown[place])]
        if not options:
            raise _no_blocks(model, part, shown is not None)
        found.append(options[0])
        _check_depth(model, part, len(options[0]))
    return found


def agrees(stack: Stack, calls: Sequence[Call], states: States) -> bool:
    """True if `states` are what goes into each block, and what the last one gives.

    The last may have gone on through a norm or any chain of modules. A recurrent model
    may show what each block gives instead, and that of the last one twice.
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
    place: int,
    known: list[Stack] | None,
) -> list[Stack]:
    by_name = [known[place]] if known is not None and known[place] else []
    found = candidates(model, calls)
    if not part:
        return by_name + list(found.values())
    under = [stack for name, stack in found.items() if part in name.split(".")]
    return by_name + under


def _onward(block: Call, calls: Sequence[Call]) -> Iterator[Tensor | None]:
    """What a block gives, and what comes of it in modules that run afterwards."""
    yield block.after
    reached = [block.after]
    for call in calls:
        if call.start > block.stop and any(_same(call.before, x) for x in reached):
            reached.append(call.after)
            yield call.after


def _check_depth(model: nn.Module, part: str, depth: int) -> None:
    """StcError if the config counts other blocks than were found."""
    config = text_config(getattr(model, "config", None))
    named = [field(config, name) for name in _DEPTHS[part]]
    said = next((n for n in named if isinstance(n, int)), None)
    if said is not None:
        said *= field(config, "inner_group_num") or 1  # ALBERT: blocks of each layer
    if said not in (None, depth):
        raise StcError(
            f"{part} blocks of {type(model).__name__}".strip(),
            expected=f"{said}, which its config says",
            got=f"{depth} that a trial forward could see",
            remedy="Choose another model, or mend the number in its config.",
        )


def _no_blocks(model: nn.Module, part: str, shown: bool) -> StcError:
    whose = f" in the {part}" if part else ""
    if not shown:
        return StcError(
            f"backbone {type(model).__name__}",
            expected=f"a stack of blocks that keep (text, token, width){whose}",
            got="none that a trial forward could see",
            remedy="Choose another model.",
        )
    return StcError(
        f"backbone {type(model).__name__}",
        expected=f"a stack of blocks whose states are its hidden states{whose}",
        got="none: what goes through its modules is not what it shows",
        remedy="Choose another model: the layers of this one cannot be read for sure.",
    )


def _keeps_shape(call: Call) -> bool:
    """True if the call turns (text, token, d) into the same: a block of a stack."""
    shape = call.input
    return (
        shape is not None
        and len(shape) == 3
        and shape[:2] == TRIAL
        and call.output == shape
    )


def _same(one: Tensor | None, other: object) -> bool:
    if one is None or not isinstance(other, Tensor) or one.shape != other.shape:
        return False
    return torch.equal(one, other)


def _all_same(found: Sequence[Tensor | None], states: States) -> bool:
    return all(_same(one, state) for one, state in zip(found, states, strict=True))


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
