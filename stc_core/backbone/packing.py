"""Batches as the model reads them: padded on the right, or packed without padding.

Packed means: all tokens in one row, with positions that start again at each text, so
that every linear layer gets only real tokens. Attention is split by texts of equal
length, which are views. Hugging Face models use it as a custom attention.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.util import find_spec
from subprocess import CalledProcessError
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface

from stc_core.backbone.pooling import Group, equal_lengths, pool, pool_groups
from stc_core.errors import StcError
from stc_core.types import Pooling

_ATTENTION = "stc_packed"
PACKED = frozenset(
    "bert roberta xlm-roberta albert electra modernbert gpt2 gpt_neox opt llama "
    "mistral qwen2 qwen3 gemma2 phi3".split()
)
"""Families whose packed forward is proven equal to reading one text at a time."""
_PAST_PADDING_ID = frozenset(("roberta", "xlm-roberta"))
"""Families whose positions start after the padding id."""


class Batch(NamedTuple):
    """Texts sorted by length; `order[position]` is the text at a sorted position."""

    inputs: dict[str, Tensor]
    order: np.ndarray
    groups: list[Group]
    mask: Bool[Tensor, "batch pos"]
    packed: bool
    starts: Int[Tensor, " texts_plus_1"]  # where each text starts in a packed row
    longest: int


_BATCH: ContextVar[Batch] = ContextVar("batch")


def make_batch(
    ids: Sequence[np.ndarray], config: Any, *, device: torch.device, packed: bool
) -> Batch:
    """The model's inputs for these texts; StcError if a text has no token.

    Positions start at the left in every family, on whatever side the tokenizer pads.
    The padding id does not matter: padding is masked, or absent.
    """
    lengths = np.array([len(row) for row in ids])
    _check_lengths(lengths)
    order = np.argsort(lengths, kind="stable")
    padded = np.full((len(ids), lengths.max()), _padding_id(config), np.int64)
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
    inputs = {name: send(tensor, device) for name, tensor in inputs.items()}
    if getattr(config, "is_encoder_decoder", False):
        add_decoder_inputs(inputs, config)
    starts = torch.from_numpy(np.cumsum([0, *lengths[order]], dtype=np.int32))
    return Batch(
        inputs,
        order,
        equal_lengths(lengths[order]),
        send(torch.from_numpy(mask), device),
        packed,
        send(starts, device),
        int(lengths.max()),
    )


def add_decoder_inputs(inputs: dict[str, Tensor], config: Any) -> None:
    """Add the decoder's inputs: the same texts, shifted right by a start token."""
    assert "attention_mask" in inputs, "a decoder with an encoder is not packed"
    start = torch.full_like(inputs["input_ids"][:, :1], _start_id(config))
    shifted = torch.cat([start, inputs["input_ids"][:, :-1]], dim=1)
    inputs["decoder_input_ids"] = shifted
    inputs["decoder_attention_mask"] = inputs["attention_mask"]


def can_pack(model: nn.Module) -> bool:
    """Whether the model's packed forward is known to equal the padded one.

    On CUDA only in half precision, for which attention has a kernel for texts of any
    length; that kernel has no soft cap.
    """
    config = getattr(model, "config", None)
    is_known = getattr(config, "model_type", None) in PACKED
    if not is_known or not hasattr(config, "_attn_implementation"):
        return False
    parameter = next(model.parameters())
    if parameter.device.type == "cuda":
        is_capped = getattr(config, "attn_logit_softcapping", None) is not None
        return parameter.dtype.itemsize == 2 and not is_capped
    return parameter.device.type == "cpu"


@cache
def has_triton() -> bool:
    """Whether kernels can be compiled here: packed rows on CUDA are pooled by one."""
    if find_spec("triton") is None:
        return False
    # It cannot be imported without Triton.
    from stc_core.backbone.pooling_triton import mean_and_max

    tokens = torch.ones(2, 8, device="cuda")
    try:
        mean_and_max(tokens, torch.tensor([0, 2], dtype=torch.int32, device="cuda"))
    except (RuntimeError, CalledProcessError):  # there is no compiler, or it fails
        return False
    return True


def longest_packed(config: Any) -> int | None:
    """The tokens that every attention window holds; longer texts must not be packed."""
    window = getattr(config, "sliding_window", None)
    return window if isinstance(window, int) else None


@contextmanager
def packed_attention(config: Any, batch: Batch) -> Iterator[None]:
    """Inside the block, models with this config attend only within each text."""
    before = config._attn_implementation
    token = _BATCH.set(batch)
    config._attn_implementation = _ATTENTION
    try:
        yield
    finally:
        config._attn_implementation = before
        _BATCH.reset(token)


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on the device; a copy to CUDA does not wait for running work."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def pool_batch(
    hidden: Tensor, batch: Batch, poolings: Sequence[Pooling]
) -> dict[Pooling, Tensor]:
    """Each pooling of the texts of `batch`, in its sorted order, float32."""
    # On a CPU many short kernels are cheap, a copy is not; on a GPU the reverse.
    if not hidden.is_cuda:
        groups, packed = batch.groups, batch.packed
        return {p: pool_groups(hidden, groups, p, packed=packed) for p in poolings}
    if not batch.packed:
        return {p: pool(hidden, batch.mask, p) for p in poolings}
    # Triton is installed only with CUDA.
    from stc_core.backbone.pooling_triton import pool_packed

    pooled = pool_packed(hidden[0], batch.starts, poolings)
    return {
        p: pooled[p]
        if p in pooled
        else pool_groups(hidden, batch.groups, p, packed=True)
        for p in poolings
    }


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
    heads_per_key = query.shape[1] // key.shape[1]
    if softcap is None:
        return scaled_dot_product_attention(
            query,
            key,
            value,
            is_causal=causal,
            scale=scale,
            enable_gqa=heads_per_key > 1,
        )
    key, value = (x.repeat_interleave(heads_per_key, dim=1) for x in (key, value))
    scores = query @ key.mT * (scale or query.shape[-1] ** -0.5)
    scores = softcap * torch.tanh(scores / softcap)
    if causal:
        is_later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=key.device)
        scores = scores.masked_fill(is_later.triu(1), -torch.inf)
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
    """Called by transformers: (1, heads, tokens, d) in, (1, tokens, heads, d) out."""
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    batch = _BATCH.get()
    if query.is_cuda:
        assert softcap is None, "can_pack refuses soft caps"
        out = _varlen(query, key, value, batch, scale=scaling, causal=causal)
        return out, None
    n_tokens, n_heads = query.shape[2], query.shape[1]
    out = query.new_empty(1, n_tokens, n_heads, value.shape[-1])
    for group in batch.groups:
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
    """No mask: `_attention` itself keeps texts apart."""


AttentionInterface.register(_ATTENTION, _attention)
AttentionMaskInterface.register(_ATTENTION, _no_mask)


def _varlen(
    query: Float[Tensor, "1 heads token d_head"],
    key: Float[Tensor, "1 kv_heads token d_head"],
    value: Float[Tensor, "1 kv_heads token d_head"],
    batch: Batch,
    *,
    scale: float | None,
    causal: bool,
) -> Float[Tensor, "1 token heads d_head"]:
    """Attention within each text by one kernel, in half precision on CUDA."""
    # Imported here: it loads the compiler, a quarter of a cold start on a CPU.
    from torch.nn.attention.varlen import varlen_attn

    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
    out = varlen_attn(
        q,
        k,
        v,
        batch.starts,
        batch.starts,
        batch.longest,
        batch.longest,
        scale=scale,
        window_size=(-1, 0) if causal else (-1, -1),
        enable_gqa=q.shape[1] > k.shape[1],
    )
    assert isinstance(out, Tensor), "no auxiliary output is asked for"
    return out[None]


def _positions(padded: np.ndarray, config: Any) -> np.ndarray:
    """Each token's position as its family counts it, for right-padded texts."""
    if config.model_type in _PAST_PADDING_ID:
        real = padded != config.pad_token_id
        return real.cumsum(1) * real + config.pad_token_id
    return np.broadcast_to(np.arange(padded.shape[1]), padded.shape)


def _padding_id(config: Any) -> int:
    """The padding id, or 0 if the config has no valid one."""
    pad = getattr(config, "pad_token_id", None)
    n_words = getattr(config, "vocab_size", None) or 1
    return pad if isinstance(pad, int) and 0 <= pad < n_words else 0


def _start_id(config: Any) -> int:
    """The token that a decoder starts with."""
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
