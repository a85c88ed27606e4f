"""From texts to token ids, and from tokens to their positions in the text."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase

from stc_core.backbone.tokenization.alignment import align


class Tokens(NamedTuple):
    """Token ids of each text, with special tokens, and how many texts were cut."""

    ids: list[np.ndarray]
    n_cut: int


class Span(NamedTuple):
    """Characters `start:end` of the text for a token; empty for a special token."""

    start: int
    end: int
    token: str


def tokenize(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, max_length: int
) -> Tokens:
    """At least one and at most `max_length` ids (int32) for every text.

    A text that gives no token is represented by one stand-in: the end, start or padding
    token. No padding is added and no padding token is needed.
    """
    if not texts:
        return Tokens([], 0)
    batch = _encode(tokenizer, list(texts), max_length)
    ids = [
        np.asarray(row or [_stand_in(tokenizer)], np.int32)
        for row in batch["input_ids"]
    ]
    if batch.encodings is not None:
        cut = sum(bool(encoding.overflowing) for encoding in batch.encodings)
    else:
        cut = sum(
            len(row) == max_length and _length(tokenizer, text) > max_length
            for row, text in zip(ids, texts, strict=True)
        )
    return Tokens(ids, cut)


def spans(
    tokenizer: PreTrainedTokenizerBase, text: str, *, max_length: int
) -> list[Span]:
    """One span for each id that `tokenize` gives for `text`, in the same order.

    Special tokens and the stand-in of an empty text have `start == end`.
    """
    batch = _encode(tokenizer, [text], max_length, return_special_tokens_mask=True)
    ids = batch["input_ids"][0]
    if not ids:
        token = tokenizer.convert_ids_to_tokens(_stand_in(tokenizer))
        return [Span(0, 0, str(token))]
    names = [str(token) for token in tokenizer.convert_ids_to_tokens(ids)]
    special = [bool(flag) for flag in batch["special_tokens_mask"][0]]
    if batch.encodings is None:
        cut = len(ids) == max_length and _length(tokenizer, text) > max_length
        # Some masks omit an end token in the text itself: then they are not used.
        mask = special if len(special) == len(ids) else None
        positions = align(tokenizer, text, ids, mask, cut=cut)
        return [
            Span(*position, name)
            for position, name in zip(positions, names, strict=True)
        ]
    text_spans: list[Span] = []
    offsets = batch.encodings[0].offsets
    for (start, end), name, is_special in zip(offsets, names, special, strict=True):
        if is_special:
            start = end = text_spans[-1].end if text_spans else 0
        text_spans.append(Span(start, end, name))
    return text_spans


def _encode(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], max_length: int, **more: Any
) -> Any:
    with _quiet(tokenizer, texts):
        return tokenizer(
            texts,
            truncation=True,
            max_length=max_length,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
            **more,
        )


@contextmanager
def _quiet(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> Iterator[None]:
    """Suppress the warning that a text already has its end token."""
    end = str(tokenizer.eos_token)
    if tokenizer.is_fast or not any(end in text for text in texts):
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _length(tokenizer: PreTrainedTokenizerBase, text: str) -> int:
    """The tokens of a text without a limit."""
    with _quiet(tokenizer, [text]):
        return len(tokenizer(text, verbose=False)["input_ids"])


def _stand_in(tokenizer: PreTrainedTokenizerBase) -> int:
    """The id that stands for a text without tokens."""
    ids = (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id)
    return next((i for i in ids if isinstance(i, int)), 0)
