"""Other columns of the user's table, with few values, for the texts of a run.

A run keeps only the columns that it was trained on. The others are read from the table
again, if the table still holds the same texts.
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
    """The other columns in `frame`, named `column:NAME`, with a row for each text.

    `note` is a sentence on what is missing and why; it is empty if nothing is missing.
    """

    frame: pd.DataFrame
    note: str = ""

    @property
    def names(self) -> list[str]:
        """The user's names of the columns."""
        return [str(name).removeprefix(COLUMN) for name in self.frame]


def read_facets(data: DataConfig, corpus: pd.DataFrame, columns: Columns) -> Facets:
    """The coarser labels, and the other columns that have 2 to MOST_VALUES values.

    An empty cell has the value ''. A column that the test file does not have is empty
    in the rows of the test file.
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
            "The other columns of the table can no longer be read: "
            f"{error.where or 'the table cannot be read'}."
        )
        return Facets(known, note)
    few = [
        name
        for name in others.columns
        if 2 <= series(others, name).nunique() <= MOST_VALUES
    ]
    return Facets(pd.concat([known, others[few].add_prefix(COLUMN)], axis=1))


def _others(data: DataConfig, corpus: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """All columns that the run did not use, as strings, in the order of the corpus."""
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
    """All columns that the run did not use, for the rows of one file."""
    file_name = Path(path).name
    if not Path(path).is_file():
        raise StcError(f"{file_name} was moved or removed")
    table = read_table(path, encoding=encoding)
    used = [columns.text, *columns.labels, columns.split, columns.id]
    used += columns.written.values()
    positions = rows["row"].to_numpy() - 1
    if columns.text not in table or (len(positions) and positions.max() >= len(table)):
        raise StcError(f"{file_name} was changed")
    table = table.take(positions).set_index(rows.index)
    if not _same(series(table, columns.text), series(rows, "text")):
        raise StcError(f"{file_name} was changed")
    return _texts(table, [name for name in table.columns if name not in used])


def _same(now: pd.Series, then: pd.Series) -> bool:
    return as_text(now).fillna("").tolist() == then.tolist()


def _texts(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {name: as_text(series(table, name)).fillna("") for name in names},
        index=table.index,
    )
