"""Rotary positions whose frequencies depend on the longest text of a batch.

`longrope` (Phi-3 and others) has two sets of frequencies. If one text of a batch is
longer than a limit, the second set is used for the whole batch. `dynamic` (NTK)
computes a set for each length beyond a limit, and keeps it for the batches that follow.
Source: transformers.modeling_rope_utils.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int
from torch import Tensor, nn

LIMIT = "original_max_position_embeddings"


class Frequencies(NamedTuple):
    """The text lengths at which a model's rotary frequencies change.

    Beyond each length of `steps` other frequencies hold; beyond `growing` each length
    has its own. `growing_modules` are the modules that keep them.
    """

    steps: tuple[int, ...] = ()
    growing: int | None = None
    growing_modules: tuple[nn.Module, ...] = ()

    @property
    def constant_up_to(self) -> int | None:
        """The longest text with the frequencies of a short one; None: any text."""
        limits = [*self.steps, *([] if self.growing is None else [self.growing])]
        return min(limits, default=None)

    def groups(self, lengths: Int[np.ndarray, " texts"]) -> Int[np.ndarray, " texts"]:
        """A number for each text; texts with equal numbers may be read together."""
        groups = np.zeros(len(lengths), int)
        for step in self.steps:
            groups += lengths > step
        if self.growing is not None:
            groups += np.where(lengths > self.growing, len(self.steps) + lengths, 0)
        return groups

    def reset(self) -> None:
        """Forget the frequencies of the previous batch."""
        for module in self.growing_modules:
            for name in list(vars(module)):
                if name.endswith("max_seq_len_cached"):
                    setattr(module, name, module.original_max_seq_len)
            for name, value in _original(module):
                setattr(module, name, value.to(getattr(module, name).device, copy=True))


def frequencies_of(model: nn.Module) -> Frequencies:
    """How the rotary positions of a model depend on the length of a batch."""
    steps: set[int] = set()
    growing: list[int] = []
    modules: list[nn.Module] = []
    for module in model.modules():
        for kind, parameters in _kinds(module):
            if "dynamic" in kind:
                growing.append(int(module.original_max_seq_len))  # pyright: ignore
                modules.append(module)
            elif kind == "longrope" or "long_mscale" in parameters:
                steps.add(int(parameters[LIMIT]))
    kept = tuple(dict.fromkeys(modules))
    return Frequencies(tuple(sorted(steps)), min(growing, default=None), kept)


def _kinds(module: nn.Module) -> Iterator[tuple[str, dict[str, Any]]]:
    """The kinds of rotary positions in a module, and the parameters of each."""
    kinds: Any = getattr(module, "rope_type", None)
    parameters = getattr(getattr(module, "config", None), "rope_parameters", None)
    if not isinstance(parameters, dict):
        return
    if isinstance(kinds, str):
        yield kinds, parameters
    elif isinstance(kinds, dict):
        for layer_type, kind in kinds.items():
            yield kind, parameters.get(layer_type) or {}


def _original(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield each set of frequencies by name, with its values for short texts."""
    for name in (*dict(module.named_buffers(recurse=False)), *vars(module)):
        if name.endswith("original_inv_freq"):
            prefix = name.removesuffix("original_inv_freq")
            yield f"{prefix}inv_freq", getattr(module, name)
