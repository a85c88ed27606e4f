"""Batches as the model reads them: padded on the right, or packed without padding.

Packed: all tokens in one row with positions that start anew at each text, so that
every linear layer sees real tokens alone; attention is split by texts of equal
length, which are views. Hugging Face models take it as an attention of our own.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface

from stc_core.errors import StcError
from stc_core.pooling import Group, equal_lengths

ATTENTION = "stc_packed"
PACKED = frozenset(
    "bert roberta xlm-roberta albert electra modernbert gpt2 gpt_neox opt llama "
    "mistral qwen2 qwen3 gemma2 phi3".split()
)
"""Families whose packed forward is proven equal to one text at a time."""
_PAST_PADDING_ID = frozenset(("roberta", "xlm-roberta"))  # where positions start
_GROUPS: ContextVar[Sequence[Group]] = ContextVar("groups")


class Batch(NamedTuple):
    """Texts sorted by length; `order[position]` is the text at a sorted position."""

    inputs: dict[str, Tensor]
    order: np.ndarray
    groups: list[Group]
    mask: Bool[Tensor, "batch pos"]
    packed: bool


def make_batch(
    ids: Sequence[np.ndarray], config: Any, *, device: torch.device, packed: bool
) -> Batch:
    """The model's inputs for these texts; raises StcError if one has no token.

    Positions start at the left in every family, whatever side the tokenizer pads on,
    and what the padding id is does not matter: it is masked, or not there.
    """
    lengths = np.array([len(row) for row in ids])
    _check_lengths(lengths)
    order = np.argsort(lengths, kind="stable")
    pad = _padding_id(config)
    padded = np.full((len(ids), lengths.max()), pad, np.int64)
    mask = np.arange(lengths.max()) < lengths[order][:, None]
    padded[mask] = np.concatenate([ids[text] for text in order])
    if packed:
        positions = _positions(padded, config)
        inputs = {
            "input_ids": torch.from_numpy(padded[mask][None]),
            "position_ids": torch.from_numpy(positions[mask][None]),
        }
        mask = np.ones((1, lengths.sum()), bool)
    else:
        inputs = {
            "input_ids": torch.from_numpy(padded),
            "attention_mask": torch.from_numpy(mask).long(),
        }
    inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
    if getattr(config, "is_encoder_decoder", False):
        assert not packed, "a decoder with an encoder is not packed"
        start = torch.full_like(inputs["input_ids"][:, :1], _start_id(config))
        shifted = torch.cat([start, inputs["input_ids"][:, :-1]], dim=1)
        inputs["decoder_input_ids"] = shifted
        inputs["decoder_attention_mask"] = inputs["attention_mask"]
    groups = equal_lengths(lengths[order])
    return Batch(inputs, order, groups, torch.from_numpy(mask).to(device), packed)


def can_pack(model: nn.Module) -> bool:
    """True if the model's packed forward is known to equal the padded one.

    On a CPU only: on a GPU many short attentions have not been measured to win.
    """
    config = getattr(model, "config", None)
    return (
        getattr(config, "model_type", None) in PACKED
        and hasattr(config, "_attn_implementation")
        and next(model.parameters()).device.type == "cpu"
    )


def longest_packed(config: Any) -> int | None:
    """Tokens that every attention window holds; longer texts must not be packed."""
    window = getattr(config, "sliding_window", None)
    return window if isinstance(window, int) else None


@contextmanager
def packed_attention(config: Any, groups: Sequence[Group]) -> Iterator[None]:
    """Within it, models with this config attend inside each text of `groups` only."""
    before = config._attn_implementation
    token = _GROUPS.set(groups)
    config._attn_implementation = ATTENTION
    try:
        yield
    finally:
        config._attn_implementation = before
        _GROUPS.reset(token)


def attend(
    query: Float[Tensor, "texts heads pos d_head"],
    key: Float[Tensor, "texts kv_heads pos d_head"],
    value: Float[Tensor, "texts kv_heads pos d_value"],
    *,
    scale: float | None,
    causal: bool,
    softcap: float | None = None,
) -> Float[Tensor, "texts heads pos d_value"]:
    """Attention of texts without padding; `softcap`, if given, bounds the scores."""
    shared = query.shape[1] // key.shape[1]
    if softcap is None:
        return scaled_dot_product_attention(
            query, key, value, is_causal=causal, scale=scale, enable_gqa=shared > 1
        )
    key, value = (x.repeat_interleave(shared, dim=1) for x in (key, value))
    scores = query @ key.mT * (scale or query.shape[-1] ** -0.5)
    scores = softcap * torch.tanh(scores / softcap)
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=key.device)
        scores = scores.masked_fill(later.triu(1), -torch.inf)
    return scores.softmax(-1, dtype=torch.float32).to(value.dtype) @ value


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    is_causal: bool | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """What transformers calls: (1, heads, tokens, d) in, (1, tokens, heads, d) out."""
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    n_tokens, n_heads = query.shape[2], query.shape[1]
    out = query.new_empty(1, n_tokens, n_heads, value.shape[-1])
    for group in _GROUPS.get():
        stop = group.token + (group.stop - group.start) * group.length
        q, k, v = (  # (texts, heads, length, d)
            x[0, :, group.token : stop].unflatten(1, (-1, group.length)).transpose(0, 1)
            for x in (query, key, value)
        )
        y = attend(q, k, v, scale=scaling, causal=causal, softcap=softcap)
        out[0, group.token : stop].unflatten(0, (-1, group.length)).copy_(
            y.transpose(1, 2)
        )
    return out, None


def _no_mask(*args: Any, **kwargs: Any) -> None:
    """Texts are kept apart by `_attention` itself."""


AttentionInterface.register(ATTENTION, _attention)
AttentionMaskInterface.register(ATTENTION, _no_mask)


def _positions(padded: np.ndarray, config: Any) -> np.ndarray:
    """Each token's position as the family counts it, for right-padded texts."""
    if config.model_type in _PAST_PADDING_ID:
        real = padded != config.pad_token_id
        return real.cumsum(1) * real + config.pad_token_id
    return np.broadcast_to(np.arange(padded.shape[1]), padded.shape)


def _padding_id(config: Any) -> int:
    pad = getattr(config, "pad_token_id", None)
    n_words = getattr(config, "vocab_size", None) or 1
    return pad if isinstance(pad, int) and 0 <= pad < n_words else 0


def _start_id(config: Any) -> int:
    names = ("decoder_start_token_id", "bos_token_id", "pad_token_id")
    ids = (getattr(config, name, None) for name in names)
    return next((i for i in ids if isinstance(i, int)), 0)


def _check_lengths(lengths: np.ndarray) -> None:
    if not len(lengths):
        raise StcError("batch", expected="at least one text", got="none")
    if not lengths.all():
        rows = np.flatnonzero(lengths == 0)[:10].tolist()
        raise StcError(
            "batch", expected=">= 1 token per text", got=f"none in rows {rows}"
        )
