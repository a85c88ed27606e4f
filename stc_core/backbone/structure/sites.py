"""Where a model's sites are, found by one rule from one small trial forward.

Residual stream: the input of each block, and the output of the last block. They are
compared with the hidden states that the model itself returns. FFN activations: the
input of each block's down-projection. For known families names are looked up in a
table. Any other model is searched by what its modules do in the trial.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from torch import nn

from stc_core.backbone.structure.blocks import (
    UNSEEN,
    Stack,
    check_repeatable,
    choose_blocks,
    named_stacks,
    shown_states,
)
from stc_core.backbone.structure.down_projections import find_downs, named_down
from stc_core.backbone.structure.trace import Call, takes_hidden_states, trace
from stc_core.errors import StcError
from stc_core.types import Kind, Site

Moment = Literal["input", "output"]
EXPERTS = (
    "Mixture of experts: FFN neurons are not computed for every token, so only "
    "residual sites are read."
)
NO_DOWN = (
    "No down-projection was found for certain: only residual sites are read, no FFN "
    "neurons."
)


class _Names(NamedTuple):
    """The path of a family's blocks, and of the down-projection inside a block."""

    blocks: tuple[str, ...]
    down: str


_LLAMA = _Names(("layers",), "mlp.down_proj")
_BERT = _Names(("encoder.layer",), "output.dense")
_T5_DOWN = "layer.-1.DenseReluDense.wo"
KNOWN = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "electra": _BERT,
    "mpnet": _BERT,
    "deberta-v2": _BERT,
    "distilbert": _Names(("transformer.layer",), "ffn.lin2"),
    "albert": _Names(("encoder.albert_layer_groups.*.albert_layers",), "ffn_output"),
    "modernbert": _Names(("layers",), "mlp.Wo"),
    "gpt2": _Names(("h",), "mlp.c_proj"),
    "gpt_neo": _Names(("h",), "mlp.c_proj"),
    "gpt_neox": _Names(("layers",), "mlp.dense_4h_to_h"),
    "opt": _Names(("decoder.layers",), "fc2"),
    "bloom": _Names(("h",), "mlp.dense_4h_to_h"),
    "falcon": _Names(("h",), "mlp.dense_4h_to_h"),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gemma2": _LLAMA,
    "phi3": _LLAMA,
    "t5": _Names(("encoder.block", "decoder.block"), _T5_DOWN),
    "bart": _Names(("encoder.layers", "decoder.layers"), "fc2"),
}


class Point(NamedTuple):
    """Where a site is read: the input or the output of one call of a module."""

    module: nn.Module
    times: int
    moment: Moment


class BlockCalls(NamedTuple):
    """What the trial forward saw of one block: its own call and those inside it.

    `down` is the call of its down-projection, None where none was found for certain.
    """

    block: Call
    calls: Sequence[Call]
    down: Call | None

    @property
    def inside(self) -> list[Call]:
        """The calls of modules inside the block."""
        return [call for call in self.calls if self.block.contains(call)]


def _block_output(seen: BlockCalls) -> tuple[Point, int]:
    block = seen.block
    assert block.output is not None, f"no hidden states from {block.name}"
    return Point(block.module, block.times, "output"), block.output[-1]


def _down_input(seen: BlockCalls) -> tuple[Point, int] | None:
    down = seen.down
    if down is None:
        return None
    assert down.input is not None, f"no input of {down.name}"
    return Point(down.module, down.times, "input"), down.input[-1]


SITE_FINDERS: dict[Kind, Callable[[BlockCalls], tuple[Point, int] | None]] = {
    "resid": _block_output,
    "mlp": _down_input,
}
"""For each kind of `types.SITE_KINDS` where a block has it, and how wide it is there.

None where the block has no such site.
"""


class Anatomy(NamedTuple):
    """Every site of a model, the point where it is read, and the cost of its layers.

    `parameters[l]` and `flops[l]` are those of layers 0 to l together. FLOPs are those
    of the matrix products for one token (2 per weight), without attention scores and
    look-ups. Of experts only the share that a token uses counts.
    """

    points: dict[Site, Point]
    widths: dict[Site, int]
    layer_names: tuple[str, ...]
    parameters: tuple[int, ...]
    flops: tuple[int, ...]
    notes: tuple[str, ...]


def find_sites(
    model: nn.Module, forward: Callable[[], object], *, known: bool = True
) -> Anatomy:
    """The anatomy of `model`; `forward` runs it on TRIAL texts and tokens.

    The answer is the same with and without the table of known names. StcError for a
    model without a stack of blocks whose states are the model's own hidden states.
    """
    check_repeatable(model)
    calls, output = trace(model, forward)
    config = getattr(model, "config", None)
    has_decoder = getattr(config, "is_encoder_decoder", False)
    names = KNOWN.get(getattr(config, "model_type", None) or "") if known else None
    by_name = named_stacks(calls, [f"{p}.*" for p in names.blocks]) if names else None
    can_show = takes_hidden_states(model)
    shown = shown_states(output, has_decoder=has_decoder) if can_show else None
    if can_show and shown is None:
        raise StcError(
            f"backbone {type(model).__name__}",
            expected="a model that returns its hidden states",
            got="no hidden states, although they were requested",
            remedy="Choose another model: the layers of this one cannot be read "
            "reliably.",
        )
    stacks = choose_blocks(model, calls, shown, known=by_name)
    notes = () if can_show else (UNSEEN,)
    if has_experts(model):
        downs: list[list[Call | None]] = [[None] * len(stack) for stack in stacks]
        return _anatomy(model, calls, stacks, downs, (*notes, EXPERTS))
    path = names.down if names else None
    if path is not None:
        downs = [[named_down(block, calls, path) for block in s] for s in stacks]
    if path is None or any(call is None for stack in downs for call in stack):
        downs = find_downs(model, stacks, calls, forward)
    return _anatomy(model, calls, stacks, downs, (*notes, *_missing(stacks, downs)))


def has_experts(model: nn.Module) -> bool:
    """Whether blocks choose among experts, so that not all neurons are computed."""
    names = (type(module).__name__.lower() for module in model.modules())
    return any("expert" in name or "moe" in name for name in names)


def _anatomy(
    model: nn.Module,
    calls: Sequence[Call],
    stacks: Sequence[Stack],
    downs: Sequence[Sequence[Call | None]],
    notes: tuple[str, ...],
) -> Anatomy:
    points: dict[Site, Point] = {}
    widths: dict[Site, int] = {}
    ends: list[int] = []  # the call number at which each layer is done
    names: list[str] = []
    for prefix, stack, stack_downs in zip(
        _prefixes(stacks), stacks, downs, strict=True
    ):
        base = len(names)
        names.append(f"{prefix}embeddings")
        ends.append(stack[0].start)
        for number, (block, call) in enumerate(
            zip(stack, stack_downs, strict=True), start=1
        ):
            layer = base + number
            names.append(f"{prefix}block {number}")
            ends.append(block.stop)
            seen = BlockCalls(block, calls, call)
            for kind, find in SITE_FINDERS.items():
                if (place := find(seen)) is not None:
                    points[Site(layer, kind)], widths[Site(layer, kind)] = place
            before = Site(layer - 1, "resid")
            points[before] = Point(block.module, block.times, "input")
            widths[before] = widths[Site(layer, "resid")]
    return Anatomy(
        {site: points[site] for site in sorted(points)},
        {site: widths[site] for site in sorted(widths)},
        tuple(names),
        _parameters(model, calls, ends),
        _flops(model, calls, ends),
        notes,
    )


def _prefixes(stacks: Sequence[Stack]) -> tuple[str, ...]:
    return ("", "decoder ") if len(stacks) > 1 else ("",)


def _missing(
    stacks: Sequence[Stack], downs: Sequence[Sequence[Call | None]]
) -> tuple[str, ...]:
    """A note about the blocks whose FFN neurons are not read, if there are any."""
    unknown = [
        f"{prefix}block {number}"
        for prefix, stack_downs in zip(_prefixes(stacks), downs, strict=True)
        for number, call in enumerate(stack_downs, start=1)
        if call is None
    ]
    n_blocks = sum(len(stack) for stack in stacks)
    if not unknown:
        return ()
    if len(unknown) == n_blocks:
        return (NO_DOWN,)
    examples = ", ".join(unknown[:8]) + (", ..." if len(unknown) > 8 else "")
    return (
        f"No down-projection was found for certain in {len(unknown)} of {n_blocks} "
        f"blocks ({examples}): in these blocks only residual sites are read.",
    )


def _parameters(
    model: nn.Module, calls: Sequence[Call], ends: Sequence[int]
) -> tuple[int, ...]:
    """Parameters in use up to each layer, shared ones counted once.

    The parameters of modules that are never called themselves count from layer 0 on.
    """
    first_call: dict[nn.Module, int] = {}
    for call in calls:
        first_call.setdefault(call.module, call.start)
    first_use: dict[nn.Parameter, int] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            start = min(first_call.get(module, -1), first_use.get(parameter, 1 << 60))
            first_use[parameter] = start
    return tuple(
        sum(p.numel() for p, start in first_use.items() if start < end) for end in ends
    )


def _flops(
    model: nn.Module, calls: Sequence[Call], ends: Sequence[int]
) -> tuple[int, ...]:
    """FLOPs for one token up to each layer."""
    config = getattr(model, "config", None)
    n_used = getattr(config, "num_experts_per_tok", None)
    n_experts = getattr(config, "num_local_experts", None) or getattr(
        config, "num_experts", None
    )
    costs: list[tuple[int, int]] = []
    for call in calls:
        if isinstance(call.module, nn.Embedding):
            continue
        for parameter in call.module.parameters(recurse=False):
            size = 2 * parameter.numel() if parameter.ndim > 1 else 0
            if parameter.ndim == 3 and n_used and parameter.shape[0] == n_experts:
                size = size * n_used // n_experts
            costs.append((call.start, size))
    return tuple(sum(size for start, size in costs if start < end) for end in ends)
