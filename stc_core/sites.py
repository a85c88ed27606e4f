"""Where a model's sites are: found by one rule, from one small trial forward.

Residual stream: what goes into each block, and what the last block gives. FFN
activations: the input of each block's down-projection. Names are looked up for known
families; any other model is searched by what its modules are seen to do.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from torch import Tensor, nn

from stc_core.axes import Site
from stc_core.errors import StcError

Moment = Literal["input", "output"]
Shape = tuple[int, ...]

TRIAL = (2, 3)
"""Texts and tokens of the trial forward: no other axis may have these sizes."""


class Names(NamedTuple):
    """Where a family keeps its blocks, and a block its down-projection."""

    blocks: tuple[str, ...]
    down: str


_LLAMA = Names(("layers",), "mlp.down_proj")
_BERT = Names(("encoder.layer",), "output.dense")
_T5_DOWN = "layer.-1.DenseReluDense.wo"
KNOWN = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "electra": _BERT,
    "mpnet": _BERT,
    "deberta-v2": _BERT,
    "distilbert": Names(("transformer.layer",), "ffn.lin2"),
    "albert": Names(("encoder.albert_layer_groups.*.albert_layers",), "ffn_output"),
    "modernbert": Names(("layers",), "mlp.Wo"),
    "gpt2": Names(("h",), "mlp.c_proj"),
    "gpt_neo": Names(("h",), "mlp.c_proj"),
    "gpt_neox": Names(("layers",), "mlp.dense_4h_to_h"),
    "opt": Names(("decoder.layers",), "fc2"),
    "bloom": Names(("h",), "mlp.dense_4h_to_h"),
    "falcon": Names(("h",), "mlp.dense_4h_to_h"),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gemma2": _LLAMA,
    "phi3": _LLAMA,
    "t5": Names(("encoder.block", "decoder.block"), _T5_DOWN),
    "bart": Names(("encoder.layers", "decoder.layers"), "fc2"),
}


class Call(NamedTuple):
    """One call of a module in the trial forward; `start`, `stop` order all calls."""

    name: str
    module: nn.Module
    times: int  # earlier calls of the same module
    start: int
    stop: int
    input: Shape | None
    output: Shape | None


class Point(NamedTuple):
    """Where a site is read: what goes into, or comes out of, a call of a module."""

    module: nn.Module
    times: int
    moment: Moment


class Anatomy(NamedTuple):
    """Every site of a model with the place to read it, and what its layers cost.

    `parameters[l]` and `flops[l]` are those of layers 0 to l together; FLOPs are
    those of the matrix products for one token (2 per weight), without attention
    scores and look-ups; of experts the share that a token uses.
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

    With or without the table of known names the answer is the same. Raises StcError
    for a model in which no stack of blocks can be seen.
    """
    calls = trace(model, forward)
    family = getattr(getattr(model, "config", None), "model_type", None)
    names = KNOWN.get(family or "") if known else None
    if names is not None:
        stacks = [
            [call for call in calls if _matches(call.name, f"{path}.*")]
            for path in names.blocks
        ]
    else:
        stacks = _search_stacks(model, calls)
    experts = has_experts(model)
    down = names.down if names is not None else None
    return _anatomy(model, calls, stacks, down=down, experts=experts)


def trace(model: nn.Module, forward: Callable[[], object]) -> list[Call]:
    """Every call of a submodule in one forward, in the order in which they begin."""
    open_calls: list[tuple[int, Shape | None]] = []
    calls: list[Call] = []
    names = {module: name for name, module in model.named_modules() if name}
    seen: Counter[nn.Module] = Counter()
    clock = iter(range(1 << 60))

    def enter(module: nn.Module, args: tuple, kwargs: dict) -> None:
        open_calls.append((next(clock), _shape(carried(args, kwargs))))

    def leave(module: nn.Module, args: tuple, output: object) -> None:
        start, shape = open_calls.pop()
        stop, out = next(clock), _shape(first_tensor(output))
        calls.append(Call(names[module], module, seen[module], start, stop, shape, out))
        seen[module] += 1

    handles = []
    try:
        for module in names:
            handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
            handles.append(module.register_forward_hook(leave))
        forward()
    finally:
        for handle in handles:
            handle.remove()
    return sorted(calls, key=lambda call: call.start)


def carried(args: Sequence, kwargs: dict) -> Tensor | None:
    """The hidden states that a module is called with: its first tensor."""
    if args and isinstance(args[0], Tensor):
        return args[0]
    hidden = kwargs.get("hidden_states")
    if isinstance(hidden, Tensor):
        return hidden
    return next((v for v in kwargs.values() if isinstance(v, Tensor)), None)


def first_tensor(output: object) -> Tensor | None:
    """The hidden states that a module gives: the tensor, or the first of a tuple."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, (tuple, list)) and output:
        return first_tensor(output[0])
    return None


def has_experts(model: nn.Module) -> bool:
    """True if blocks choose among experts, so that neurons are not always computed."""
    names = (type(module).__name__.lower() for module in model.modules())
    return any("expert" in name or "moe" in name for name in names)


def _shape(tensor: Tensor | None) -> Shape | None:
    return None if tensor is None else tuple(tensor.shape)


def _matches(name: str, pattern: str) -> bool:
    parts, wanted = name.split("."), pattern.split(".")
    return len(parts) == len(wanted) and all(
        b in ("*", a) for a, b in zip(parts, wanted, strict=True)
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


def _search_stacks(model: nn.Module, calls: Sequence[Call]) -> list[list[Call]]:
    """The heaviest sets of like siblings that keep (text, token, d) as it is.

    One set, or one under each of `encoder` and `decoder` where the model has both.
    Ties go to the inner set, so that a shared block is counted, not its wrapper.
    """
    groups: dict[tuple[str, type], list[Call]] = {}
    for call in calls:
        if _keeps_shape(call) and any(True for _ in call.module.children()):
            parent = call.name.rpartition(".")[0]
            groups.setdefault((parent, type(call.module)), []).append(call)
    lists = {name for name, m in model.named_modules() if isinstance(m, nn.ModuleList)}
    stacks = {
        parent: group
        for (parent, _), group in groups.items()
        if parent in lists or len({call.module for call in group}) > 1
    }
    if not stacks:
        raise StcError(
            f"backbone {type(model).__name__}",
            expected="a stack of blocks that keep (text, token, width)",
            got="none that a trial forward could see",
            remedy="Choose another model.",
        )

    def heaviest(prefix: str) -> list[list[Call]]:
        under = [p for p in stacks if f"{p}.".startswith(prefix)]
        under.sort(key=lambda p: (_weight(stacks[p]), p.count(".")))
        return [stacks[under[-1]]] if under else []

    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        both = [*heaviest("encoder."), *heaviest("decoder.")]
        if len(both) == 2:
            return both
    return heaviest("")


def _weight(group: Sequence[Call]) -> int:
    return sum(
        p.numel()
        for module in {call.module for call in group}
        for p in module.parameters()
    )


def _find_down(block: Call, calls: Sequence[Call], down: str | None) -> Call | None:
    """The call of a block's down-projection: the last product back to d_model.

    Attention's own output projection does not count.
    """
    inner = [c for c in calls if block.start < c.start and c.stop < block.stop]
    if down is not None:
        path = down
        if ".-1." in path:  # the last of a list, however long it is
            head, tail = path.split(".-1.")
            last = len(block.module.get_submodule(head)._modules) - 1
            path = f"{head}.{last}.{tail}"
        return next(c for c in inner if c.name == f"{block.name}.{path}")
    attention = [c for c in inner if "attention" in type(c.module).__name__.lower()]
    assert block.output is not None
    for call in reversed(inner):
        weight = getattr(call.module, "weight", None)
        if (
            isinstance(weight, Tensor)
            and weight.ndim == 2
            and not any(
                a.start <= call.start and call.stop <= a.stop for a in attention
            )
            and call.output is not None
            and call.output[-1] == block.output[-1]
        ):
            return call
    return None


def _anatomy(
    model: nn.Module,
    calls: Sequence[Call],
    stacks: Sequence[list[Call]],
    *,
    down: str | None,
    experts: bool,
) -> Anatomy:
    points: dict[Site, Point] = {}
    widths: dict[Site, int] = {}
    ends: list[int] = []  # when each layer is done
    names: list[str] = []
    prefixes = ("", "decoder ") if len(stacks) > 1 else ("",)
    for prefix, stack in zip(prefixes, stacks, strict=True):
        base = len(names)
        names.append(f"{prefix}embeddings")
        ends.append(stack[0].start)
        for number, block in enumerate(stack, start=1):
            layer = base + number
            names.append(f"{prefix}block {number}")
            ends.append(block.stop)
            assert block.output is not None, f"no hidden states from {block.name}"
            width = block.output[-1]
            before = Site(layer - 1, "resid")
            points[before] = Point(block.module, block.times, "input")
            points[Site(layer, "resid")] = Point(block.module, block.times, "output")
            widths[before] = widths[Site(layer, "resid")] = width
            call = None if experts else _find_down(block, calls, down)
            if call is not None:
                assert call.input is not None, f"no input of {call.name}"
                points[Site(layer, "mlp")] = Point(call.module, call.times, "input")
                widths[Site(layer, "mlp")] = call.input[-1]
    notes = _notes(points, experts)
    return Anatomy(
        {site: points[site] for site in sorted(points)},
        {site: widths[site] for site in sorted(widths)},
        tuple(names),
        _parameters(model, calls, ends),
        _flops(model, calls, ends),
        notes,
    )


def _notes(points: dict[Site, Point], experts: bool) -> tuple[str, ...]:
    if experts:
        return (
            "Mixture of experts: FFN neurons are not computed for every token, so "
            "only residual sites are read.",
        )
    if not any(site.kind == "mlp" for site in points):
        return ("No down-projection was found: only residual sites are read.",)
    return ()


def _parameters(
    model: nn.Module, calls: Sequence[Call], ends: Sequence[int]
) -> tuple[int, ...]:
    """Parameters first used until each layer is done, shared ones counted once.

    Those of modules that are never called by themselves count from layer 0 on.
    """
    first: dict[nn.Module, int] = {}
    for call in calls:
        first.setdefault(call.module, call.start)
    began: dict[nn.Parameter, int] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            start = min(first.get(module, -1), began.get(parameter, 1 << 60))
            began[parameter] = start
    return tuple(
        sum(p.numel() for p, start in began.items() if start < end) for end in ends
    )


def _flops(
    model: nn.Module, calls: Sequence[Call], ends: Sequence[int]
) -> tuple[int, ...]:
    config = getattr(model, "config", None)
    chosen = getattr(config, "num_experts_per_tok", None)
    n_experts = getattr(config, "num_local_experts", None) or getattr(
        config, "num_experts", None
    )
    cost: list[tuple[int, int]] = []
    for call in calls:
        if isinstance(call.module, nn.Embedding):
            continue
        for parameter in call.module.parameters(recurse=False):
            size = 2 * parameter.numel() if parameter.ndim > 1 else 0
            if parameter.ndim == 3 and chosen and parameter.shape[0] == n_experts:
                size = size * chosen // n_experts
            cost.append((call.start, size))
    return tuple(sum(size for start, size in cost if start < end) for end in ends)
