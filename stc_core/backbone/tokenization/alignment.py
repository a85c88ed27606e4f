"""Where in a text the tokens of a tokenizer stand that does not say it itself.

The tokens' own letters are followed through the text, from its start to its end, with
nothing but white space between them. Both are compared without case, accents and
compatibility forms, which tokenizers change; a byte belongs to its character. A token
that is not found so, as one for unknown words, has no place.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
"""How SentencePiece spells a byte of a character that it does not know."""
MARKS = ("##", "▁", "Ġ", "</w>", "@@", "~")
"""What tokenizers add to a piece to say that a word goes on, or begins, or ends."""
_MOST = 100
"""Bytes that a token has on average at most: a text that is cut is looked at so far."""
MOST_FREE = 32
"""From more places than so many a token for unknown words is not followed: a run of
them could stand in too many ways."""
_PROBE = "É é"
_Place = tuple[int, int]
Coding = Callable[[str], bytes]


class Units(NamedTuple):
    """A text as bytes, and of each byte the characters that it stands for."""

    data: bytes
    places: list[_Place]


class _Piece(NamedTuple):
    """What may stand in the text for a token; `free`: anything may, of one word.

    `added`: the token may also be one that the tokenizer has put there.
    """

    options: tuple[bytes, ...]
    free: bool
    added: bool


class _Step(NamedTuple):
    """From one byte to another by a token whose own letters are the bytes `own`."""

    before: int
    after: int
    own: _Place | None


def align(
    tokenizer: Any,
    text: str,
    ids: Sequence[int],
    added: Sequence[bool] | None,
    *,
    cut: bool,
) -> list[_Place]:
    """The characters start:end of each token; start == end of one without a place.

    `added` says which tokens the tokenizer has put around the text, if it knows;
    `cut`: the text goes on after the last token.
    """
    coding = _coding(tokenizer)
    units = _units(text, raw=coding is not None)
    pieces = [
        _piece(tokenizer, int(token), None if added is None else added[place], coding)
        for place, token in enumerate(ids)
    ]
    data = units.data[: _MOST * len(ids)] if cut else units.data
    path = _path(data, pieces, cut=cut)
    found: list[_Place] = []
    end = 0
    for own in path:
        if own is None or own[0] == own[1]:
            found.append((end, end))
            continue
        start = units.places[own[0]][0]
        end = units.places[own[1] - 1][1]
        found.append((start, end))
    return found


def _path(data: bytes, pieces: Sequence[_Piece], *, cut: bool) -> list[_Place | None]:
    """For each piece the bytes that are its own on every way through all of them.

    None where it has none, or where it could as well be elsewhere.
    """
    steps: list[list[_Step] | None] = []
    reached = [{0}]
    for piece in pieces:
        found = _steps(data, reached[-1], piece)
        if found:
            steps.append(found)
            reached.append({step.after for step in found})
        else:  # what the tokenizer wrote is not in the text: go on anywhere behind
            steps.append(None)
            reached.append(set(range(min(reached[-1]), len(data) + 1)))
    ends = {at for at in reached[-1] if cut or not data[at:].strip()} or reached[-1]
    path: list[_Place | None] = []
    for found, starts in zip(reversed(steps), reversed(reached[:-1]), strict=True):
        if found is None:
            path.append(None)
            ends = {at for at in starts if at <= max(ends)}
            continue
        used = [step for step in found if step.after in ends]
        owns = {step.own for step in used}
        path.append(owns.pop() if len(owns) == 1 else None)
        ends = {step.before for step in used}
    return path[::-1]


def _steps(data: bytes, reached: set[int], piece: _Piece) -> list[_Step]:
    """Every way over a piece from one of the bytes that are reached."""
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
    while data[at : at + 1].isspace():
        at += 1
    return at


def _piece(
    tokenizer: Any, token: int, added: bool | None, coding: Coding | None
) -> _Piece:
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
    # One without a letter of its own, as for white space, may be anywhere.
    return _Piece(options, free=False, added=not options)


def _bare(name: str) -> str:
    """A piece without what says how it hangs on its word."""
    for mark in MARKS:
        if len(name) > len(mark):
            name = name.removeprefix(mark).removesuffix(mark)
    return name.replace("▁", " ")


def _bytes_of(forms: Sequence[str], *, raw: bool) -> tuple[bytes, ...]:
    """The forms of a piece as they would be in the text, the longest first."""
    found = {_units(form.strip(), raw=raw).data for form in forms}
    return tuple(sorted(found - {b""}, key=lambda form: (-len(form), form)))


def _units(text: str, *, raw: bool) -> Units:
    """The text's bytes: as they are, or of its letters in their plainest form."""
    data = bytearray()
    places: list[_Place] = []
    for place, char in enumerate(text):
        coded = char.encode() if raw else _plain(char).encode()
        data += coded
        places += [(place, place + 1)] * len(coded)
    return Units(bytes(data), places)


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

    As in ByT5 (a byte is a letter), byte-level BPE, and CANINE (a letter is itself).
    """
    decoder = getattr(tokenizer, "byte_decoder", None)
    if decoder is not None:
        return lambda name: bytes(decoder.get(char, ord("?")) for char in name)
    names = [str(name) for name in tokenizer.tokenize(_PROBE)]
    if names == [chr(byte) for byte in _PROBE.encode()]:
        return lambda name: bytes(ord(char) for char in name if ord(char) < 256)
    return str.encode if names == list(_PROBE) else None
