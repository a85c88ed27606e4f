"""Columns and rows of data frames, whatever their types."""

from io import TextIOBase
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Bool, Int

from stc_core.cells import cell_text, escape_formulas, flatten_frame


def series(frame: pd.DataFrame, name: str) -> pd.Series:
    """The one column called `name`."""
    column = frame[name]
    assert isinstance(column, pd.Series), (name, type(column))
    return column


def codes(frame: pd.DataFrame, name: str) -> tuple[Int[np.ndarray, " n"], list[str]]:
    """A number per row for the value in one column, and the value of each number."""
    numbers, names = pd.factorize(series(frame, name))
    return numbers, [str(value) for value in names]


def equals(frame: pd.DataFrame, name: str, value: str) -> Bool[np.ndarray, " n"]:
    """Where the column called `name` holds `value`."""
    return (series(frame, name) == value).to_numpy(dtype=bool)


def as_text(column: pd.Series) -> pd.Series:
    """The column as strings, NaN for missing cells; other cells as in `cell_text`."""
    text_type = pd.StringDtype(na_value=np.nan)
    if column.dtype == text_type:
        return column
    if pd.api.types.is_integer_dtype(column.dtype):
        cells = pd.array(pa.array(column).cast(pa.large_string()), dtype=text_type)
        return pd.Series(cells, index=column.index, name=column.name)
    cells = [cell_text(value) for value in column]
    return pd.Series(cells, index=column.index, dtype=text_type, name=column.name)


class _Rows:
    """Ends each row with a line feed alone.

    The writer quotes only signs of its own line end, so it is told of both: a lone
    carriage return in a cell would end the row for a reader.
    """

    END = "\r\n"

    def __init__(self, handle: TextIOBase) -> None:
        self.handle = handle

    def write(self, row: str) -> int:
        return self.handle.write(f"{row.removesuffix(self.END)}\n")


def write_csv(
    frame: pd.DataFrame,
    handle: TextIOBase,
    *,
    separator: str = ",",
    header: bool = True,
    keep_formulas: bool = False,
) -> int:
    """Write the rows as delimited text; return the number of cells escaped.

    All CSV of STC Studio is written here. Cells that a spreadsheet would run are
    escaped (`escape_formulas`) unless `keep_formulas` is true.
    """
    flat, count = flatten_frame(frame), 0
    if not keep_formulas:
        flat, count = escape_formulas(flat)
    rows: Any = _Rows(handle)
    flat.to_csv(
        rows, sep=separator, index=False, header=header, lineterminator=_Rows.END
    )
    return count


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of `frame`, each by column name.

    Equal to `frame.to_dict("records")` for columns of NumPy types and of strings, which
    takes five times as long.
    """
    names = [str(name) for name in frame.columns]
    columns = [frame.iloc[:, position].tolist() for position in range(len(names))]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
