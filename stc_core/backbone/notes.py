"""Notes for people on how a model is read, one sentence each."""

from typing import Any

import transformers
from torch import nn

from stc_core.backbone.rotary import Frequencies

APART = "This model sees padding: only texts of equal length are read together."
LONG = (
    "Texts of more than {} tokens are read separately from shorter ones: this model "
    "gives their positions other frequencies."
)
GROWING = (
    "Texts of more than {} tokens are read together only if their lengths are equal: "
    "this model gives positions other frequencies for each length."
)
FULL = (
    "Block-sparse attention is not used: texts of all lengths are read with full "
    "attention, as this model reads short ones."
)
OTHER_CODE = (
    "The files of this model refer to their own code (auto_map). It is not run: {} of "
    "transformers {} reads the weights."
)
SLOW = "Triton finds no C compiler, so batches on the GPU are padded, which is slower."


def reading_notes(
    model: nn.Module,
    frequencies: Frequencies,
    *,
    sees_padding: bool,
    slow: bool,
    max_length: int,
) -> tuple[str, ...]:
    """The notes on how this model reads texts of up to `max_length` tokens."""
    config: Any = getattr(model, "config", None)
    steps = [step for step in frequencies.steps if step < max_length]
    notes = [SLOW] * slow + [APART] * sees_padding
    notes += [LONG.format(f"{step:,}") for step in steps]
    growing = frequencies.growing
    if growing is not None and growing < max_length:
        notes.append(GROWING.format(f"{growing:,}"))
    if getattr(config, "attention_type", None) == "block_sparse":
        notes.append(FULL)
    if getattr(config, "auto_map", None):
        notes.append(OTHER_CODE.format(type(model).__name__, transformers.__version__))
    return tuple(notes)
