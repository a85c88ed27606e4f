"""A slice: some of the texts, said in a short text that a link can hold.

`label=refund;predicted=delivery;length=0-9` are parts that must all hold, each
`name=value`. In names and values `%`, `;` and `=` are written %25, %3B and %3D.
"""

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np
import pandas as pd
from jaxtyping import Bool

from stc_core.analysis.examples import UNCERTAIN
from stc_core.data.statistics import text_lengths
from stc_core.frames import series

COLUMN = "column:"
"""What the name of a part, and of a column of the frame, begins with that holds
another column of the user's table."""
FLAGS = {"wrong": "wrong", "uncertain": "uncertain", "star": "starred"}
_QUOTED = {"%": "%25", ";": "%3B", "=": "%3D"}


class Part(NamedTuple):
    """One condition: its name, as in a slice's text, and its value."""

    name: str
    value: str

    @property
    def sentence(self) -> str:
        """The condition as people say it: 'label is refund', '10 to 19 words'."""
        name, value = self
        if name in FLAGS:
            return FLAGS[name]
        if name == "query":
            return f"with “{value}”"
        if name == "length":
            low, high = _bounds(value) or (0, None)
            return f"{low} words or more" if high is None else f"{low} to {high} words"
        return f"{name.removeprefix(COLUMN)} is {value or 'empty'}"

    def mask(self, frame: pd.DataFrame) -> Bool[np.ndarray, " n"]:
        """Where it holds; nowhere if the frame has no column to tell by."""
        name, value = self
        if name == "query":
            text = frame["text"].str.casefold()
            return text.str.contains(value.casefold(), regex=False).to_numpy(bool)
        if name == "length":
            low, high = _bounds(value) or (0, None)
            words = text_lengths(series(frame, "text"))["words"].to_numpy()
            return (words >= low) & (words <= (np.inf if high is None else high))
        if name == "wrong":
            return ~frame["correct"].to_numpy(bool)
        if name == "uncertain":
            return (frame["margin"] < UNCERTAIN).to_numpy(bool)
        if name not in frame:
            return np.zeros(len(frame), bool)
        if name == "star":
            return frame["star"].to_numpy(bool)
        return (frame[name].astype(str) == value).to_numpy(bool)


class Slice(NamedTuple):
    """The texts for which every one of `parts` holds; without parts, all of them."""

    parts: tuple[Part, ...] = ()

    @classmethod
    def parse(cls, text: str | None) -> "Slice":
        """The slice that `text` says, the inverse of str(); what it does not know, as
        another version may have written it, is left out."""
        pairs = (piece.partition("=") for piece in (text or "").split(";"))
        return cls.of((unquote(name), unquote(value)) for name, _, value in pairs)

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> "Slice":
        """The slice of these names and values, each once; unknown ones are left out."""
        parts = (Part(name, value) for name, value in pairs)
        return cls(tuple(dict.fromkeys(part for part in parts if _known(part))))

    def __str__(self) -> str:
        return ";".join(f"{_quote(name)}={_quote(value)}" for name, value in self.parts)

    @property
    def text(self) -> str | None:
        """The same as str(), or None where it holds all texts: for the context."""
        return str(self) or None

    @property
    def sentence(self) -> str:
        """What people read: 'label is refund, predicted is delivery, wrong'."""
        return ", ".join(part.sentence for part in self.parts) or "all texts"

    def value(self, name: str) -> str | None:
        """The value of the first part called `name`; None without one."""
        return next((part.value for part in self.parts if part.name == name), None)

    @property
    def of_texts(self) -> "Slice":
        """The parts that say what a text is, not how it was predicted."""
        apart = ("label", "predicted", "wrong", "uncertain")
        return Slice(tuple(part for part in self.parts if part.name not in apart))

    def moved(self, **changes: str | None) -> "Slice":
        """This slice with each named part set anew, or gone where it is None."""
        kept = [part for part in self.parts if part.name not in changes]
        new = [(name, value) for name, value in changes.items() if value is not None]
        return Slice.of([*kept, *new])

    def without(self, part: Part) -> "Slice":
        return Slice(tuple(one for one in self.parts if one != part))

    def mask(self, frame: pd.DataFrame) -> Bool[np.ndarray, " n"]:
        """Which rows of `examples.examples` are in it.

        The user's other columns are looked for as `column:NAME`, stars as `star`.
        """
        keep = np.ones(len(frame), bool)
        for part in self.parts:
            keep &= part.mask(frame)
        return keep


def _known(part: Part) -> bool:
    if part.name in FLAGS:
        return part.value == "1"
    if part.name == "length":
        return _bounds(part.value) is not None
    if part.name == "query":
        return bool(part.value.strip())
    column = part.name.startswith(COLUMN) and part.name != COLUMN
    return column or part.name in ("label", "predicted")


def _bounds(value: str) -> tuple[int, int | None] | None:
    """(10, 19) of '10-19', (40, None) of '40-'; None of what is neither."""
    low, dash, high = value.partition("-")
    if not (dash and low.isdecimal() and (high.isdecimal() or not high)):
        return None
    return int(low), int(high) if high else None


def _quote(text: str) -> str:
    return "".join(_QUOTED.get(letter, letter) for letter in text)
