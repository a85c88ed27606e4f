"""A slice: a part of the texts, written as a short string that a link can hold.

An example is `label=refund;predicted=delivery;length=0-9`. Each part is a condition
`name=value`, and all must hold. In names and values `%`, `;` and `=` are written %25,
%3B and %3D.
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
"""The prefix of the name of a part, or of a column of the frame, that stands for
another column of the user's table."""
FLAGS = {"wrong": "wrong", "uncertain": "uncertain", "star": "starred"}
_QUOTED = {"%": "%25", ";": "%3B", "=": "%3D"}


class Part(NamedTuple):
    """One condition of a slice: its name and its value."""

    name: str
    value: str

    @property
    def sentence(self) -> str:
        """The condition in words, as 'label is refund' or '10 to 19 words'."""
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
        """True for each row where the condition holds.

        It holds nowhere if the frame does not have the column that it needs.
        """
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
    """The texts for which all of `parts` hold; without parts, all texts."""

    parts: tuple[Part, ...] = ()

    @classmethod
    def parse(cls, text: str | None) -> "Slice":
        """The slice that `text` describes, the inverse of str().

        Unknown parts, which another version may have written, are left out.
        """
        pairs = (piece.partition("=") for piece in (text or "").split(";"))
        return cls.of((unquote(name), unquote(value)) for name, _, value in pairs)

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> "Slice":
        """The slice with these names and values, without repeated or unknown ones."""
        parts = (Part(name, value) for name, value in pairs)
        return cls(tuple(dict.fromkeys(part for part in parts if _known(part))))

    def __str__(self) -> str:
        return ";".join(f"{_quote(name)}={_quote(value)}" for name, value in self.parts)

    @property
    def text(self) -> str | None:
        """The same as str(), or None if the slice holds all texts."""
        return str(self) or None

    @property
    def sentence(self) -> str:
        """The slice in words, as 'label is refund, predicted is delivery, wrong'."""
        return ", ".join(part.sentence for part in self.parts) or "all texts"

    def value(self, name: str) -> str | None:
        """The value of the first part named `name`; None if there is none."""
        return next((part.value for part in self.parts if part.name == name), None)

    @property
    def of_texts(self) -> "Slice":
        """The slice without the parts that depend on the label or the prediction."""
        dropped = ("label", "predicted", "wrong", "uncertain")
        return Slice(tuple(part for part in self.parts if part.name not in dropped))

    def moved(self, **changes: str | None) -> "Slice":
        """This slice with each named part set to a new value, or removed if None."""
        kept = [part for part in self.parts if part.name not in changes]
        new = [(name, value) for name, value in changes.items() if value is not None]
        return Slice.of([*kept, *new])

    def without(self, part: Part) -> "Slice":
        """This slice without `part`."""
        return Slice(tuple(kept for kept in self.parts if kept != part))

    def mask(self, frame: pd.DataFrame) -> Bool[np.ndarray, " n"]:
        """True for each row of an `examples.example_table` that is in the slice.

        The user's other columns have the names `column:NAME`, the stars `star`.
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
    """(10, 19) for '10-19', (40, None) for '40-', None for any other text."""
    low, dash, high = value.partition("-")
    if not (dash and low.isdecimal() and (high.isdecimal() or not high)):
        return None
    return int(low), int(high) if high else None


def _quote(text: str) -> str:
    return "".join(_QUOTED.get(letter, letter) for letter in text)
