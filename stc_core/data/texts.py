"""Many texts as a sequence that makes a string only when a text is read."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, overload

import numpy as np
import pandas as pd
from jaxtyping import Int

from stc_core.config import DataConfig
from stc_core.data.columns import check_column, guess_columns
from stc_core.data.reading.pipes import source_name
from stc_core.data.table import read_table
from stc_core.errors import StcError
from stc_core.frames import as_text, series

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


class TextRows(NamedTuple):
    """The texts of a table, and a frame with `row` and, if they are there, `id` and
    labels; `n_blank` rows without text are left out.

    `row` counts from 1. A label column keeps its name.
    """

    rows: pd.DataFrame
    texts: list[str]
    n_blank: int


def read_text_rows(data: DataConfig) -> TextRows:
    """The rows of a table that have a text; a label is not necessary.

    The text column and the id are guessed if `data` does not name them; only labels
    that it names are kept. StcError for a column that does not exist, and if no row has
    a text.
    """
    table = read_table(data.path, encoding=data.encoding)
    guessed = guess_columns(table)
    text = data.text or guessed.text
    identity = guessed.id if data.id is None else data.id or None
    named = [("text", text), *(("label", label) for label in data.labels)]
    for role, name in [*named, *([("id", identity)] if identity else [])]:
        check_column(table, name, role=role)
    texts = as_text(series(table, text)).fillna("")
    full = np.flatnonzero(texts.str.strip().ne(""))
    if not len(full):
        name = source_name(data.path)
        raise StcError(f"{name}, column {text!r}", expected="a text", got="none")
    kept = {"id": identity} if identity else {}
    for label in data.labels:
        kept[f"label:{label}" if label in ("row", *kept) else label] = label
    rows: dict[str, Any] = {"row": full + 1}
    for key, name in kept.items():
        rows[key] = as_text(series(table, name)).to_numpy(dtype=object)[full]
    return TextRows(
        pd.DataFrame(rows), texts.iloc[full].tolist(), len(texts) - len(full)
    )
