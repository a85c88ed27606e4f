"""Runs a model on batches, prepared as this model needs it, within a time limit."""

import inspect
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import Tensor, nn

from stc_core.backbone.class_guides import Places, guides_of, set_token_places
from stc_core.backbone.packing import Batch, packed_attention
from stc_core.backbone.rotary import frequencies_of
from stc_core.errors import StcError

_UNTIL: ContextVar[float | None] = ContextVar("until", default=None)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Let the work in the block end after so many seconds, at the next forward pass.

    It then raises StcError. The limit is that of this thread alone.
    """
    token = _UNTIL.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _UNTIL.reset(token)


def check_time() -> None:
    """Raise StcError if the time limit around this call is over."""
    until = _UNTIL.get()
    if until is not None and time.monotonic() > until:
        raise StcError(
            "time for this text",
            expected="an answer within the time limit",
            got="work that takes longer",
            remedy="Shorten the text, or ask for less, for example without gradients.",
        )


class ModelRunner:
    """Runs a model, padded or packed, with nothing left over from earlier batches.

    Its class guides are told which text each token belongs to, its rotary frequencies
    are those of this batch, and it keeps no cache of keys and values.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.config: Any = getattr(model, "config", None)
        self.frequencies = frequencies_of(model)
        self._guides = guides_of(model)
        takes_cache = "use_cache" in inspect.signature(model.forward).parameters
        self._uncached = {"use_cache": False} if takes_cache else {}

    def run(self, batch: Batch) -> object:
        """The model's output for a batch of `make_batch`."""
        lengths = batch.starts.diff() if batch.packed else None
        places = Places(batch.mask, lengths)
        if not batch.packed:
            return self._forward(batch.inputs, places)
        with packed_attention(self.config, batch):
            return self._forward(batch.inputs, places)

    def run_padded(self, inputs: Mapping[str, Tensor]) -> object:
        """The model's output for the inputs of a padded batch."""
        return self._forward(inputs, Places(inputs["attention_mask"].bool()))

    def _forward(self, inputs: Mapping[str, Tensor], places: Places) -> object:
        check_time()
        set_token_places(self._guides, places)
        self.frequencies.reset()
        return self.model(**inputs, **self._uncached)
