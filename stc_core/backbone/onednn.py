"""Linear layers on a CPU by oneDNN, which lays out each weight for its kernels once.

In float32 `torch.nn.functional.linear` calls a BLAS, which lays out the weight again at
each call. That takes more than half of the time of a short text, and a tenth of the
time of a batch.
"""

import platform
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

X86 = ("x86_64", "AMD64")
"""The machines on which it was measured."""
_MOST_BYTES = 1 << 31
"""Up to so many bytes the linear weights of a model are kept twice, beyond that once.
"""
ROWS = 128
"""The number of tokens to lay out for: oneDNN chooses the same layout for 16 as for
2,048."""


class _LaidOut:
    """A layer that keeps a second copy of its weight in oneDNN's layout.

    The copy is used only in forwards without gradients, for weights that are not
    trained. A weight that was changed in place or replaced is laid out again.
    """

    _kept: tuple[tuple[int, int], Tensor] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """The state without the copy, which cannot be pickled."""
        return {k: v for k, v in self.__dict__.items() if k != "_kept"}

    def _product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """`x` (..., in) times `weight` (out, in), plus `bias`: (..., out)."""
        state = (weight.data_ptr(), 0 if weight.is_inference() else weight._version)
        if self._kept is None or self._kept[0] != state:
            plain = weight.detach().contiguous()
            self._kept = state, torch.ops.mkldnn._reorder_linear_weight(plain, ROWS)
        laid_out = self._kept[1]
        return torch.ops.mkldnn._linear_pointwise(x, laid_out, bias, "none", [], "")

    def _can(self, x: Tensor, weight: Tensor) -> bool:
        """Whether the copy can be used for this input."""
        if weight.requires_grad:
            self._kept = None  # optimizers and checkpoints may change the weight
            return False
        return not torch.is_grad_enabled() and _readable(x)


class _Linear(_LaidOut, nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        if self._can(input, self.weight):
            return self._product(input, self.weight, self.bias)
        return super().forward(input)


class _Conv1D(_LaidOut, Conv1D):
    """The linear layer of GPT-2, whose weight is (in, out)."""

    def forward(self, x: Tensor) -> Tensor:
        if self._can(x, self.weight):
            return self._product(x, self.weight.T, self.bias)
        return super().forward(x)


_KINDS: dict[type[nn.Module], type[nn.Module]] = {nn.Linear: _Linear, Conv1D: _Conv1D}


def lay_out(model: nn.Module) -> None:
    """Make the linear layers of `model` keep laid-out weights, in place.

    Sums are rounded in another order: values agree to about 1e-6 of the largest.
    Nothing changes if `copied_bytes` is 0.
    """
    if copied_bytes(model):
        for module in model.modules():
            module.__class__ = _KINDS.get(type(module), type(module))


def copied_bytes(model: nn.Module) -> int:
    """Bytes of the weights that exist twice after all layers have run.

    0 on anything but an x86 CPU, in another dtype than float32, and above
    `_MOST_BYTES`.
    """
    if platform.machine() not in X86 or not torch.backends.mkldnn.is_available():
        return 0
    kinds = (*_KINDS, *_KINDS.values())
    layers = [module for module in model.modules() if type(module) in kinds]
    weights = [cast(Tensor, layer.weight) for layer in layers]
    n_bytes = sum(weight.nbytes for weight in weights if _readable(weight))
    return n_bytes if n_bytes <= _MOST_BYTES else 0


def _readable(tensor: Tensor) -> bool:
    return tensor.is_cpu and tensor.dtype == torch.float32
