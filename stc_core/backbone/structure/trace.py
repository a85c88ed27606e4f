"""The calls of a model's modules in one trial forward, in order, with their states."""

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import output_capturing

_Shape = tuple[int, ...]

TRIAL = (2, 3)
"""Numbers of texts and tokens of the trial forward; no other axis may have these sizes.
"""


COLLECTS = "_output_capturing_hooks_installed"
"""The attribute by which transformers marks a model that has hooks for hidden states.
"""
COLLECTING = output_capturing.__name__


class Call(NamedTuple):
    """One call of a module in the trial forward; `start` and `stop` order all calls.

    `before` and `after` are copies of the hidden states that go in and come out, if
    these have a row for each token.
    """

    name: str
    module: nn.Module
    times: int  # earlier calls of the same module
    start: int
    stop: int
    input: _Shape | None
    output: _Shape | None
    before: Tensor | None
    after: Tensor | None

    def contains(self, other: "Call") -> bool:
        """Whether `other` ran inside this call."""
        return self.start < other.start and other.stop < self.stop


def trace(model: nn.Module, forward: Callable[[], object]) -> tuple[list[Call], object]:
    """Every call of a submodule in one forward, by start, and the forward's output.

    The output has the model's own hidden states if the model can return them.
    """
    open_calls: list[tuple[int, _Shape | None, Tensor | None]] = []
    calls: list[Call] = []
    names = {module: name for name, module in model.named_modules() if name}
    n_calls: Counter[nn.Module] = Counter()
    clock = iter(range(1 << 60))

    def enter(module: nn.Module, args: tuple, kwargs: dict) -> None:
        states = input_states(args, kwargs)
        open_calls.append((next(clock), _shape(states), _copy(states)))

    def leave(module: nn.Module, args: tuple, output: object) -> None:
        start, shape, before = open_calls.pop()
        returned = first_tensor(output)
        name, times, stop = names[module], n_calls[module], next(clock)
        out, after = _shape(returned), _copy(returned)
        calls.append(Call(name, module, times, start, stop, shape, out, before, after))
        n_calls[module] += 1

    handles = []
    try:
        for module in names:
            # Runs before the model's own hooks, as `read_sites` does.
            handles.append(
                module.register_forward_pre_hook(enter, with_kwargs=True, prepend=True)
            )
            handles.append(module.register_forward_hook(leave))
        with _hidden_states_shown(model):
            output = forward()
    finally:
        for handle in handles:
            handle.remove()
    return sorted(calls, key=lambda call: call.start), output


def input_states(args: Sequence, kwargs: dict) -> Tensor | None:
    """The hidden states that a module is called with: its first tensor argument."""
    if args and isinstance(args[0], Tensor):
        return args[0]
    hidden = kwargs.get("hidden_states")
    if isinstance(hidden, Tensor):
        return hidden
    return next((v for v in kwargs.values() if isinstance(v, Tensor)), None)


def replace_argument(
    args: tuple, kwargs: dict, old: Tensor | None, new: Tensor
) -> tuple[tuple, dict]:
    """The arguments of a call with `new` in place of `old`."""
    if args and args[0] is old:
        return (new, *args[1:]), kwargs
    return args, {name: new if v is old else v for name, v in kwargs.items()}


def first_tensor(output: object) -> Tensor | None:
    """The hidden states that a module returns: the tensor, or the first of a tuple."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, (tuple, list)) and output:
        return first_tensor(output[0])
    return None


def replace_output(output: object, new: Tensor) -> object:
    """What a module returns with `new` in place of its `first_tensor`."""
    if isinstance(output, Tensor):
        return new
    assert isinstance(output, (tuple, list)), type(output)
    return type(output)([replace_output(output[0], new), *output[1:]])


def is_linear(module: nn.Module) -> bool:
    """Whether a module is a matrix product: nn.Linear, Conv1D, or one with LoRA."""
    weight = getattr(module, "weight", None)
    return (
        isinstance(weight, Tensor)
        and weight.ndim == 2
        and not isinstance(module, nn.Embedding)
    )


@contextmanager
def _hidden_states_shown(model: nn.Module) -> Iterator[None]:
    """Inside the block a model that can return its hidden states returns them."""
    if not takes_hidden_states(model):
        yield
        return

    def ask(module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        return args, {**kwargs, "output_hidden_states": True}

    handle = model.register_forward_pre_hook(ask, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
        remove_collecting_hooks(model)


def remove_collecting_hooks(model: nn.Module) -> None:
    """Remove the hooks by which transformers collects hidden states, if there are any.

    A model with these hooks cannot be pickled. They come back when a forward asks for
    hidden states.
    """
    for module in model.modules():
        hooks = module._forward_hooks.items()
        for key in [key for key, hook in hooks if hook.__module__ == COLLECTING]:
            del module._forward_hooks[key]
        vars(module).pop(COLLECTS, None)


def takes_hidden_states(model: nn.Module) -> bool:
    """Whether this is a transformers model that returns hidden states on request."""
    if not isinstance(model, PreTrainedModel):
        return False
    parameters = inspect.signature(model.forward).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return open_ended or "output_hidden_states" in parameters


def _shape(tensor: Tensor | None) -> _Shape | None:
    return None if tensor is None else tuple(tensor.shape)


def _copy(tensor: Tensor | None) -> Tensor | None:
    """A copy of the tensor if it has a row for each text and token, else None."""
    if tensor is None or not tensor.is_floating_point() or tensor.ndim < 2:
        return None
    flat = tensor.shape[0] == TRIAL[0] * TRIAL[1] and tensor.ndim == 2
    return tensor.detach().clone() if flat or tuple(tensor.shape[:2]) == TRIAL else None
