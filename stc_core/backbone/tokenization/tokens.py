"""From texts to token ids, and from tokens to their positions in the text."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase

from stc_core.backbone.tokenization.alignment import align
from stc_core.backbone.tokenization.coverage import Offsets, cover

_PART = 4
"""The characters for each token in the part of a long text that is read at first."""


class Tokens(NamedTuple):
    """Token ids of each text, with special tokens, and how many texts were cut."""

    ids: list[np.ndarray]
    n_cut: int


class Span(NamedTuple):
    """Characters `start:end` of the text for a token; none if `start == end`.

    Only tokens that were added around the text have none. `unknown`: the tokenizer does
    not know these characters, and the model reads the token in their place.
    """

    start: int
    end: int
    token: str
    unknown: bool = False


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

    `coverage` says which characters a token has. Special tokens and the stand-in of an
    empty text have `start == end`.
    """
    batch = _encode(tokenizer, [text], max_length, return_special_tokens_mask=True)
    ids = batch["input_ids"][0]
    if not ids:
        token = tokenizer.convert_ids_to_tokens(_stand_in(tokenizer))
        return [Span(0, 0, str(token))]
    if batch.encodings is None:
        places = _slow_places(tokenizer, text, ids, max_length)
    else:
        left = tokenizer.truncation_side == "left"
        places = _fast_places(text, batch.encodings[0], left=left)
    names = [str(token) for token in tokenizer.convert_ids_to_tokens(ids)]
    return [
        # The token for unknown words is known if it is written in the text.
        Span(*place, name, token == tokenizer.unk_token_id and name != shown)
        for place, name, token in zip(places, names, ids, strict=True)
        for shown in [text[slice(*place)]]
    ]


def _fast_places(text: str, encoding: Any, *, left: bool) -> list[Offsets]:
    """The place of each token; `left`: a text that is too long is cut on the left."""
    added = [bool(flag) for flag in encoding.special_tokens_mask]
    own = [
        place
        for place, is_added in zip(encoding.offsets, added, strict=True)
        if not is_added and place[0] < place[1]
    ]
    start, end = 0, len(text)
    if encoding.overflowing:
        start = min(own)[0] if left and own else 0
        end = max(own)[1] if own and not left else end
    return cover(text, encoding.offsets, added, read=(start, end))


def _slow_places(
    tokenizer: PreTrainedTokenizerBase, text: str, ids: list[int], max_length: int
) -> list[Offsets]:
    """The place of each token if the tokenizer does not report places.

    The tokens of a part of the text, which is not cut, are followed through it. `ids`
    are the first or the last of them.
    """
    left = tokenizer.truncation_side == "left"
    always = _encode(tokenizer, [""], max_length)["input_ids"][0]
    part, whole, added = _enough(tokenizer, text, ids, n_added=len(always))
    places = align(tokenizer, part, whole, added)
    if added is None:
        added = [
            start == end and token in always
            for (start, end), token in zip(places, whole, strict=True)
        ]
    places = cover(part, places, added, read=(0, len(part)))
    if len(whole) <= len(ids):
        return places
    if left:
        skipped = len(text) - len(part)
        n_own = len(ids) - added.index(False)
        kept = [(start + skipped, end + skipped) for start, end in places[-n_own:]]
        return [(kept[0][0], kept[0][0])] * (len(ids) - n_own) + kept
    n_own = len(ids) - added[::-1].index(False)
    kept = places[:n_own]
    return kept + [(kept[-1][1], kept[-1][1])] * (len(ids) - n_own)


def _enough(
    tokenizer: PreTrainedTokenizerBase, text: str, ids: list[int], *, n_added: int
) -> tuple[str, list[int], list[bool] | None]:
    """A part of the text with at least the tokens `ids`, and what `_uncut` says of it.

    `ids` are its first tokens, or its last if a text is cut on the left, except for
    those that the tokenizer adds.
    """
    left = tokenizer.truncation_side == "left"
    size = _PART * len(ids)
    while True:
        part = text[-size:] if left else text[:size]
        whole, added = _uncut(tokenizer, part)
        n = _n_equal(ids[::-1], whole[::-1]) if left else _n_equal(ids, whole)
        if len(part) == len(text) or (
            n >= len(ids) - n_added and len(whole) > len(ids)
        ):
            return part, whole, added
        size *= 4


def _uncut(
    tokenizer: PreTrainedTokenizerBase, text: str
) -> tuple[list[int], list[bool] | None]:
    """All ids of a text, and which of them the tokenizer has added, if it says so."""
    with _quiet(tokenizer, [text]):
        batch = tokenizer(text, return_special_tokens_mask=True, verbose=False)
    ids, mask = batch["input_ids"], batch["special_tokens_mask"]
    # Some masks omit an end token in the text itself: then they are not used.
    return ids, [bool(flag) for flag in mask] if len(mask) == len(ids) else None


def _n_equal(first: Sequence[int], second: Sequence[int]) -> int:
    """The number of ids with which both begin."""
    n = 0
    while n < min(len(first), len(second)) and first[n] == second[n]:
        n += 1
    return n


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
