"""The rows of a table, or of a folder of tables, in chunks of a fixed number."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from stc_core.data.columns import check_column
from stc_core.data.table import iter_table
from stc_core.errors import StcError
from stc_core.frames import as_text, series

SHARD_ROWS = 2048
"""The rows of a chunk. They are labelled together, and without those of any other, so
that a result does not depend on where, when and by whom a chunk was done."""
TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")


class Chunk(NamedTuple):
    """Some rows of a table, the texts in them, and the name of their text column."""

    frame: pd.DataFrame
    texts: list[str]
    column: str


def table_files(source: str | Path) -> list[str | Path]:
    """The tables in the folder `source` by name, hidden ones left out; else `source`.

    Raises StcError for a folder without a table.
    """
    if not Path(source).is_dir():
        return [source]
    kinds = (*TABLE_SUFFIXES, *(f"{suffix}.gz" for suffix in TABLE_SUFFIXES))
    files = [
        path
        for path in sorted(Path(source).iterdir())
        if path.name.lower().endswith(kinds) and not path.name.startswith((".", "_"))
    ]
    if not files:
        raise StcError(
            f"folder {str(source)!r}",
            expected=f"tables in it: {', '.join(TABLE_SUFFIXES)}, also as .gz",
            got="none",
        )
    return [*files]


def table_chunks(
    source: str | Path,
    *,
    trained: str,
    text: str | None = None,
    encoding: str | None = None,
    rows: int | None = None,
) -> Iterator[Chunk]:
    """Yield all rows, `rows` at a time (None: SHARD_ROWS); no chunk is of two files.

    `text` names the text column; without it, it is that of the training, `trained`, or
    the only column. Raises StcError if the files of a folder have other columns.
    """
    first: list[str] | None = None
    for file in table_files(source):
        frames = iter_table(file, chunk_rows=rows or SHARD_ROWS, encoding=encoding)
        for frame in frames:
            columns = [str(name) for name in frame.columns]
            first = columns if first is None else first
            if columns != first:
                raise StcError(
                    f"table {str(file)!r}",
                    expected=f"the columns of the first table: {', '.join(first)}",
                    got=", ".join(columns),
                )
            column = text_column(columns, given=text, trained=trained)
            check_column(frame, column, role="text")
            yield Chunk(frame, column_texts(frame, column), column)


def text_column(columns: list[str], *, given: str | None, trained: str) -> str:
    """The text column: the given one, that of the training, or the only column."""
    if given is None and trained not in columns and len(columns) == 1:
        return columns[0]
    return trained if given is None else given


def column_texts(frame: pd.DataFrame, column: str) -> list[str]:
    """The texts of a column; a missing one is empty."""
    return as_text(series(frame, column)).fillna("").tolist()
