"""Columns and rows of data frames, whatever their types."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Bool, Int

from stc_core.cells import cell_text


def series(frame: pd.DataFrame, name: str) -> pd.Series:
    """The one column called `name`."""
    column = frame[name]
    assert isinstance(column, pd.Series), (name, type(column))
    return column


def codes(frame: pd.DataFrame, name: str) -> tuple[Int[np.ndarray, " n"], list[str]]:
    """A number per row for the value of one column, and the value of each number."""
    numbers, names = pd.factorize(series(frame, name))
    return numbers, [str(value) for value in names]


def equals(frame: pd.DataFrame, name: str, value: str) -> Bool[np.ndarray, " n"]:
    """Where the column called `name` holds `value`."""
    return (series(frame, name) == value).to_numpy(dtype=bool)


def as_text(column: pd.Series) -> pd.Series:
    """The column as strings, NaN where missing; other cells as `cell_text` has them."""
    text = pd.StringDtype(na_value=np.nan)
    if column.dtype == text:
        return column
    if pd.api.types.is_integer_dtype(column.dtype):
        cells = pd.array(pa.array(column).cast(pa.large_string()), dtype=text)
        return pd.Series(cells, index=column.index, name=column.name)
    cells = [cell_text(value) for value in column]
    return pd.Series(cells, index=column.index, dtype=text, name=column.name)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of `frame`, each by column name.

    As `frame.to_dict("records")` gives for columns of NumPy's types and of strings, in
    five times the time.
    """
    names = [str(name) for name in frame.columns]
    columns = [frame.iloc[:, place].tolist() for place in range(len(names))]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
