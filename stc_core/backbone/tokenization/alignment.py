"""Positions in a text of the tokens of a tokenizer that does not report them.

The letters of the tokens are followed through the text from start to end, with only
white space between them. Tokens and text are compared without case, accents and
compatibility forms, which tokenizers change. A byte belongs to its character. A token
that is not found in this way, such as one of two for unknown words side by side, has no
position: `coverage` says which characters it gets.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from stc_core.backbone.tokenization.coverage import Offsets

BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
"""How SentencePiece writes a byte of a character that it does not know."""
MARKS = ("##", "▁", "Ġ", "</w>", "@@", "~")
"""Marks that tokenizers add to a piece to show that a word goes on, begins or ends."""
MOST_FREE = 32
"""A token for unknown words is not followed from more positions than this: a run of
such tokens could stand in too many ways."""
_PROBE = "É é"
_WORD = re.compile(r"\S+")
Coding = Callable[[str], bytes]


class Units(NamedTuple):
    """A text as bytes, with the characters that each byte stands for."""

    data: bytes
    places: list[Offsets]


class _Piece(NamedTuple):
    """What may stand in the text for a token; with `free` any letters of one word may.

    `added`: the tokenizer may have put the token there, so that no letters stand for
    it.
    """

    options: tuple[bytes, ...]
    free: bool
    added: bool


class _Step(NamedTuple):
    """A step from one byte to another by a token; its letters are the bytes `own`."""

    before: int
    after: int
    own: Offsets | None


def align(
    tokenizer: Any, text: str, ids: Sequence[int], added: Sequence[bool] | None
) -> list[Offsets]:
    """The characters start:end of each token; start == end for one without a position.

    `ids` are all tokens of the text. `added` says which of them the tokenizer has put
    around the text, None if it does not report that.
    """
    coding = _coding(tokenizer)
    if coding is None and added is not None:
        own = [token for token, flag in zip(ids, added, strict=True) if not flag]
        places = _align_words(tokenizer, text, own)
        if places is not None:
            following = iter(places)
            return [(0, 0) if flag else next(following) for flag in added]
    return _follow(tokenizer, text, ids, added, coding)


def _align_words(tokenizer: Any, text: str, own: list[int]) -> list[Offsets] | None:
    """The places of the tokens, followed through each word on its own.

    So a word with unknown tokens does not affect other words. None if the tokens of the
    words are not those of the text.
    """
    places: list[Offsets] = []
    for match in _WORD.finditer(text):
        word, start = match[0], match.start()
        ids = tokenizer(word, add_special_tokens=False, verbose=False)["input_ids"]
        if own[len(places) : len(places) + len(ids)] != ids:
            return None
        inside = _follow(tokenizer, word, ids, [False] * len(ids), None)
        places += [(start + first, start + last) for first, last in inside]
    return places if len(places) == len(own) else None


def _follow(
    tokenizer: Any,
    text: str,
    ids: Sequence[int],
    added: Sequence[bool] | None,
    coding: Coding | None,
) -> list[Offsets]:
    """The places of the tokens, followed from the start of the text to its end."""
    units = _units(text, raw=coding is not None)
    pieces = [
        _piece(
            tokenizer, int(token), None if added is None else added[position], coding
        )
        for position, token in enumerate(ids)
    ]
    spans: list[Offsets] = []
    end = 0
    for own in _path(units.data, pieces):
        if own is None or own[0] == own[1]:
            spans.append((end, end))
            continue
        start = units.places[own[0]][0]
        end = units.places[own[1] - 1][1]
        spans.append((start, end))
    return spans


def _path(data: bytes, pieces: Sequence[_Piece]) -> list[Offsets | None]:
    """For each piece the bytes that stand for it on every way through all pieces.

    None if it has none, or if it could stand elsewhere, too.
    """
    steps: list[list[_Step] | None] = []
    reached = [{0}]
    for piece in pieces:
        piece_steps = _steps(data, reached[-1], piece)
        if piece_steps:
            steps.append(piece_steps)
            reached.append({step.after for step in piece_steps})
        else:  # the token's letters are not in the text: go on at any later byte
            steps.append(None)
            reached.append(set(range(min(reached[-1]), len(data) + 1)))
    ends = {at for at in reached[-1] if not data[at:].strip()} or reached[-1]
    path: list[Offsets | None] = []
    for piece_steps, starts in zip(
        reversed(steps), reversed(reached[:-1]), strict=True
    ):
        if piece_steps is None:
            path.append(None)
            last = max(ends)
            ends = {at for at in starts if at <= last}
            continue
        used = [step for step in piece_steps if step.after in ends]
        own_bytes = {step.own for step in used}
        path.append(own_bytes.pop() if len(own_bytes) == 1 else None)
        ends = {step.before for step in used}
    return path[::-1]


def _steps(data: bytes, reached: set[int], piece: _Piece) -> list[_Step]:
    """Every step over a piece from one of the reached bytes."""
    steps: list[_Step] = []
    for before in sorted(reached):
        start = _after_space(data, before)
        options = [
            (at, at + len(option))
            for option in piece.options
            for at in dict.fromkeys((before, start))
            if data.startswith(option, at)
        ]
        if options:
            steps.append(_Step(before, options[0][1], options[0]))
        if piece.added:
            steps.append(_Step(before, before, None))
        if piece.free and len(reached) <= MOST_FREE:
            stop = start
            while stop < len(data) and not data[stop : stop + 1].isspace():
                stop += 1
                steps.append(_Step(before, stop, (start, stop)))
    return steps


def _after_space(data: bytes, at: int) -> int:
    """The position of the next byte that is not white space."""
    while data[at : at + 1].isspace():
        at += 1
    return at


def _piece(
    tokenizer: Any, token: int, added: bool | None, coding: Coding | None
) -> _Piece:
    """What may stand in the text for this token."""
    if added:
        return _Piece((), free=False, added=True)
    name = str(tokenizer.convert_ids_to_tokens(token))
    if token in tokenizer.all_special_ids or token == tokenizer.unk_token_id:
        free = token == tokenizer.unk_token_id
        forms = _bytes_of([name], raw=coding is not None)
        return _Piece(forms, free=free, added=added is None and not free)
    if coding is not None:
        return _Piece((coding(name),), free=False, added=False)
    if match := BYTE.fullmatch(name):
        return _Piece((bytes.fromhex(match[1]),), free=False, added=False)
    spoken = str(tokenizer.convert_tokens_to_string([name]))
    options = _bytes_of([name, spoken, _bare(name), _bare(spoken)], raw=False)
    # A token without letters, such as white space, may stand anywhere.
    return _Piece(options, free=False, added=not options)


def _bare(name: str) -> str:
    """A piece without the marks that connect it to its word."""
    for mark in MARKS:
        if len(name) > len(mark):
            name = name.removeprefix(mark).removesuffix(mark)
    return name.replace("▁", " ")


def _bytes_of(forms: Sequence[str], *, raw: bool) -> tuple[bytes, ...]:
    """The forms of a piece as bytes of the text, the longest first."""
    encoded = {_units(form.strip(), raw=raw).data for form in forms}
    return tuple(sorted(encoded - {b""}, key=lambda form: (-len(form), form)))


def _units(text: str, *, raw: bool) -> Units:
    """The text's bytes: as they are if `raw`, else those of its plain letters."""
    data = bytearray()
    characters: list[Offsets] = []
    for position, char in enumerate(text):
        coded = char.encode() if raw else _plain(char).encode()
        data += coded
        characters += [(position, position + 1)] * len(coded)
    return Units(bytes(data), characters)


def _plain(char: str) -> str:
    """A character without case, accent and compatibility form; a space is " "."""
    if char.isspace():
        return " "
    parts = unicodedata.normalize("NFKD", char.casefold())
    return "".join(
        " " if c.isspace() else c.casefold()
        for c in parts
        if unicodedata.category(c) not in ("Mn", "Cc", "Cf") and c != "\ufffd"
    )


def _coding(tokenizer: Any) -> Coding | None:
    """How a token's name spells bytes of the text, if every token stands for some.

    That is so in ByT5 (a byte is a letter), byte-level BPE, and CANINE (a letter is
    itself). None for other tokenizers.
    """
    decoder = getattr(tokenizer, "byte_decoder", None)
    if decoder is not None:
        return lambda name: bytes(decoder.get(char, ord("?")) for char in name)
    names = [str(name) for name in tokenizer.tokenize(_PROBE)]
    if names == [chr(byte) for byte in _PROBE.encode()]:
        return lambda name: bytes(ord(char) for char in name if ord(char) < 256)
    return str.encode if names == list(_PROBE) else None
