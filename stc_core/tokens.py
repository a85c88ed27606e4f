"""Texts to token ids, and tokens back to their places in the text."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase


class Tokens(NamedTuple):
    """Token ids of each text, specials included, and how many texts were cut."""

    ids: list[np.ndarray]
    n_cut: int


class Span(NamedTuple):
    """Characters `start:end` of the text that a token stands for; specials: none."""

    start: int
    end: int
    token: str


def tokenize(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, max_length: int
) -> Tokens:
    """At least one and at most `max_length` ids (int32) for every text.

    A text that gives no token at all is represented by one stand-in: the end, start
    or padding token. No padding is added and no pad token is needed.
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
    if batch.encodings is not None:
        places = batch.encodings[0].offsets
    else:
        places = _align(tokenizer, text, ids, special)
    found: list[Span] = []
    for (start, end), name, is_special in zip(places, names, special, strict=True):
        if is_special:
            start = end = found[-1].end if found else 0
        found.append(Span(start, end, name))
    return found


def _encode(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], max_length: int, **more: Any
) -> Any:
    return tokenizer(
        texts,
        truncation=True,
        max_length=max_length,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
        **more,
    )


def _length(tokenizer: PreTrainedTokenizerBase, text: str) -> int:
    return len(tokenizer(text, verbose=False)["input_ids"])


def _stand_in(tokenizer: PreTrainedTokenizerBase) -> int:
    ids = (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id)
    return next((i for i in ids if isinstance(i, int)), 0)


def _align(
    tokenizer: PreTrainedTokenizerBase, text: str, ids: list[int], special: list[bool]
) -> list[tuple[int, int]]:
    """Places of a slow tokenizer's tokens: each found where the last one ended."""
    folded = text.casefold() if len(text.casefold()) == len(text) else text
    cursor, places = 0, []
    for token, is_special in zip(ids, special, strict=True):
        piece = "" if is_special else str(tokenizer.decode([token])).strip().lstrip("#")
        start = folded.find(piece.casefold(), cursor) if piece else -1
        if start < 0:
            places.append((cursor, cursor))
            continue
        cursor = start + len(piece)
        places.append((start, cursor))
    return places
