"""The user's other columns of a run's texts, where they have few values.

A run keeps only the columns that it was trained on, so the others are read from the
table once more, and only if it still holds the same texts.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from stc_core.analysis.slices import COLUMN
from stc_core.config import DataConfig
from stc_core.data.columns import Columns
from stc_core.data.table import read_table
from stc_core.errors import StcError
from stc_core.frames import as_text, series

MOST_VALUES = 30


class Facets(NamedTuple):
    """`frame` has a column `column:NAME` for each, a row per row of the corpus.

    `note` says in a sentence what is not there, and why; empty if nothing is amiss.
    """

    frame: pd.DataFrame
    note: str = ""

    @property
    def names(self) -> list[str]:
        """The user's names of the columns."""
        return [str(name).removeprefix(COLUMN) for name in self.frame]


def read_facets(data: DataConfig, corpus: pd.DataFrame, columns: Columns) -> Facets:
    """Coarser labels, and other columns with 2 to MOST_VALUES values.

    Empty cells are values, too: ''. A column of the data file that the test file does
    not have is empty in the rows of that file.
    """
    coarse = {
        f"{COLUMN}{name}": corpus[f"label_{level}"].to_numpy()
        for level, name in enumerate(columns.labels[:-1], 1)
    }
    known = pd.DataFrame(coarse, index=corpus.index)
    try:
        others = _others(data, corpus, columns)
    except StcError as error:
        note = (
            "The other columns of the table are not known any more: "
            f"{error.where or 'it cannot be read'}."
        )
        return Facets(known, note)
    few = [
        name
        for name in others.columns
        if 2 <= series(others, name).nunique() <= MOST_VALUES
    ]
    return Facets(pd.concat([known, others[few].add_prefix(COLUMN)], axis=1))


def _others(data: DataConfig, corpus: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """All columns that the run did not use, as texts, by row of the corpus."""
    encoding = data.encoding
    rows = corpus.loc[corpus["file"] == "data"]
    parts = [_part(data.path, rows, columns, encoding)]
    if data.test_path:
        rows = corpus.loc[corpus["file"] == "test"]
        part = _part(data.test_path, rows, columns, encoding)
        parts.append(part.reindex(columns=parts[0].columns))
    return pd.concat(parts).reindex(corpus.index).fillna("")


def _part(
    path: str, rows: pd.DataFrame, columns: Columns, encoding: str | None
) -> pd.DataFrame:
    """The same, of the rows that come from one file."""
    name = Path(path).name
    if not Path(path).is_file():
        raise StcError(f"{name} was moved or removed")
    table = read_table(path, encoding=encoding)
    used = [columns.text, *columns.labels, columns.split, columns.id]
    used += columns.written.values()
    place = rows["row"].to_numpy() - 1
    if columns.text not in table or (len(place) and place.max() >= len(table)):
        raise StcError(f"{name} was changed")
    table = table.take(place).set_index(rows.index)
    if not _same(series(table, columns.text), series(rows, "text")):
        raise StcError(f"{name} was changed")
    return _texts(table, [one for one in table.columns if one not in used])


def _same(now: pd.Series, then: pd.Series) -> bool:
    return as_text(now).fillna("").tolist() == then.tolist()


def _texts(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {name: as_text(series(table, name)).fillna("") for name in names},
        index=table.index,
    )
