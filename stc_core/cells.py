"""Cells of a table as text, whatever their types."""

import base64
import datetime as dt
import json
import math
import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from stc_core.files import json_value

BASE64 = "base64:"
_FORMULA_SIGNS = "=+-@\t\r＝＋－＠"
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)*|\.\d+)([eE][+-]?\d+)? ?%?")


class Number(str):
    """A number of a JSON file, spelled as in the file."""

    __slots__ = ()

    @property
    def value(self) -> int | float | str:
        """The number itself, or its spelling if Python has no such number."""
        try:
            return int(self)
        except ValueError:
            number = float(self)
        return number if math.isfinite(number) else str(self)


def cell_text(value: Any) -> str | None:
    """The cell as a string, None if it is missing.

    Whole floats lose their '.0' (a column of integers with gaps is float). Booleans
    become 'true' or 'false', times ISO 8601, dates ISO 8601 without the midnight. Lists
    and structs become JSON.
    """
    if value is None or value is pd.NA or value is pd.NaT or isinstance(value, str):
        return value if isinstance(value, str) else None
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)):
        if math.isnan(value):
            return None
        return str(int(value)) if float(value).is_integer() else str(value)
    if isinstance(value, bytes):
        return _read_bytes(value)
    if isinstance(value, (list, tuple, dict, np.ndarray)):
        return json_text(value)
    if hasattr(value, "isoformat"):
        return value.isoformat().removesuffix("T00:00:00")
    return str(value)


def json_text(value: Any) -> str:
    """The value as JSON: nested numbers stay numbers, bytes become text."""
    return json.dumps(
        _values(json_value(value)), ensure_ascii=False, default=json_default
    )


def json_default(value: Any) -> str:
    """Text for values that JSON has no type for: bytes, decimals, time spans."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes_text(bytes(value))
    if isinstance(value, dt.timedelta):
        return pd.Timedelta(value).isoformat()
    return str(value)


def bytes_text(raw: bytes) -> str:
    """The text that the bytes spell in UTF-8; other bytes as 'base64:...'."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        return BASE64 + base64.b64encode(raw).decode("ascii")
    return text


def escape_formulas(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The frame with an apostrophe before each cell that a spreadsheet would run.

    Also the number of such cells and names of columns. A cell is taken for a formula if
    it begins with = + - @, a tab or a carriage return; a formula can send data away.
    Numbers such as -5 stay. Source: OWASP, CSV injection.
    """
    changed, count = {}, 0
    for place, kind in enumerate(frame.dtypes):
        if pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind):
            continue
        column = frame.iloc[:, place]
        rows = [n for n, cell in enumerate(column.tolist()) if _is_formula(cell)]
        if rows:
            cells = column.astype(object).to_numpy(copy=True)
            cells[rows] = [f"'{cells[row]}" for row in rows]
            changed[place] = pd.Series(cells, index=frame.index, name=column.name)
            count += len(rows)
    parts = [changed.get(n, frame.iloc[:, n]) for n in range(frame.shape[1])]
    escaped = pd.concat(parts, axis=1) if changed else frame
    names = [f"'{name}" if _is_formula(name) else name for name in frame.columns]
    named = sum(map(_is_formula, frame.columns))
    return (escaped.set_axis(names, axis=1) if named else escaped), count + named


def _is_formula(cell: Any) -> bool:
    return (
        isinstance(cell, str)
        and cell[:1] in _FORMULA_SIGNS
        and bool(cell)
        and _NUMBER.fullmatch(cell) is None
    )


def formula_note(count: int) -> str:
    """One sentence on cells that `escape_formulas` has changed."""
    cells = "1 cell begins" if count == 1 else f"{count:,} cells begin"
    return (
        f"{cells} like a formula (= + - @). An apostrophe is written before it, so "
        "that no spreadsheet runs it."
    )


def flatten_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame for a format that has only text: lists and structs become JSON.

    Bytes become text, or 'base64:...' if they do not spell any.
    """
    written = {
        str(name): _written(column)
        for name, column in frame.items()
        if _is_nested(column.dtype) or _is_bytes(column.dtype)
    }
    return frame.assign(**written) if written else frame


def _written(column: pd.Series) -> pd.Series:
    """The column as text cells."""
    write = json_default if _is_bytes(column.dtype) else json_text
    texts = [None if value is None else write(value) for value in _objects(column)]
    kind = pd.StringDtype(na_value=np.nan)
    return pd.Series(texts, index=column.index, dtype=kind, name=column.name)


def _objects(column: pd.Series) -> list[Any]:
    """The cells as Python's own values; None if a cell is missing."""
    return pa.array(column, from_pandas=True).to_pylist()


def _is_nested(kind: Any) -> bool:
    return isinstance(kind, pd.ArrowDtype) and pa.types.is_nested(kind.pyarrow_dtype)


def _is_bytes(kind: Any) -> bool:
    if not isinstance(kind, pd.ArrowDtype):
        return False
    arrow = kind.pyarrow_dtype
    return (
        pa.types.is_binary(arrow)
        or pa.types.is_large_binary(arrow)
        or pa.types.is_fixed_size_binary(arrow)
        or pa.types.is_binary_view(arrow)
    )


def _values(value: Any) -> Any:
    """The value with numbers in place of their spellings."""
    if isinstance(value, Number):
        return value.value
    if isinstance(value, dict):
        return {key: _values(item) for key, item in value.items()}
    return [_values(item) for item in value] if isinstance(value, list) else value


def _read_bytes(raw: bytes) -> str:
    """The bytes read as UTF-8, else as Windows-1252, which reads nearly all bytes."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")
