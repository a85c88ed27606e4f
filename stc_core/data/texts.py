"""Many texts as a sequence that makes a string only when a text is read."""

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
import pandas as pd
from jaxtyping import Int

PIECE = 8192


class Texts(Sequence[str]):
    """The texts of `source` at `rows` (None: all), in that order.

    A slice is a list of strings. Nothing of a frame's column is copied, so a million
    texts cost only the column's memory, without a string object for each text.
    """

    def __init__(
        self,
        source: "Sequence[str] | pd.Series",
        rows: Int[np.ndarray, " n"] | None = None,
    ) -> None:
        self.source: Any = source
        self.rows = rows

    def __len__(self) -> int:
        return len(self.source) if self.rows is None else len(self.rows)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> list[str]: ...

    def __getitem__(self, place: int | slice) -> str | list[str]:
        if not isinstance(place, slice):
            row = place if self.rows is None else int(self.rows[place])
            in_column = isinstance(self.source, pd.Series)
            return self.source.iloc[row] if in_column else self.source[row]
        rows = place if self.rows is None else self.rows[place]
        if isinstance(self.source, pd.Series):
            return self.source.iloc[rows].tolist()
        if isinstance(rows, slice):
            return list(self.source[rows])
        return [self.source[row] for row in rows]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), PIECE):
            yield from self[start : start + PIECE]

    def at(self, rows: Int[np.ndarray, " k"]) -> "Texts":
        """The texts at these positions, not read yet."""
        return Texts(self.source, rows if self.rows is None else self.rows[rows])


def distinct_texts(
    texts: Sequence[str],
) -> tuple[Sequence[str], Int[np.ndarray, " n"]]:
    """The distinct texts in order of appearance, and each text's number among them.

    Texts are compared by their hashes, 8 bytes each. Texts with equal hashes are then
    compared themselves, so the result is exact.
    """
    keys = np.fromiter(map(hash, texts), np.int64, len(texts))
    _, first_positions, numbers_of = np.unique(
        keys, return_index=True, return_inverse=True
    )
    del keys
    if len(first_positions) == len(texts):
        return texts, np.arange(len(texts))
    order = np.argsort(first_positions, kind="stable")
    first_positions = first_positions[order]
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    numbers_of = number[numbers_of]
    if not _same(texts, first_positions[numbers_of]):
        numbers: dict[str, int] = {}
        numbers_of = np.array(
            [numbers.setdefault(text, len(numbers)) for text in texts]
        )
        return list(numbers), numbers_of
    sequence = texts if isinstance(texts, Texts) else Texts(texts)
    return sequence.at(first_positions), numbers_of


def _same(texts: Sequence[str], leader: Int[np.ndarray, " n"]) -> bool:
    """Whether every text equals the first text with its hash."""
    lazy = texts if isinstance(texts, Texts) else Texts(texts)
    followers = np.flatnonzero(leader != np.arange(len(leader)))
    pairs = zip(lazy.at(followers), lazy.at(leader[followers]), strict=True)
    return all(one == other for one, other in pairs)
