"""Rows of a Parquet file as Arrow tables, with their types."""

import datetime as dt
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stc_core.data.reading.delimited import header_names
from stc_core.data.reading.limits import check_width
from stc_core.data.reading.repairs import Tally
from stc_core.data.reading.sniff import open_bytes
from stc_core.errors import StcError

_INDEX = re.compile(r"__index_level_\d+__")
_LONGEST_S = 86_400 * 999_999_999
_EARLIEST, _LATEST = (
    int(year.replace(tzinfo=dt.UTC).timestamp()) + day
    for year, day in (
        (dt.datetime(1, 1, 1), 86_400),
        (dt.datetime(9999, 12, 31), -86_400),
    )
)
"""The times that Python has, in seconds since 1970, a day within for time zones."""
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def parquet_batches(
    path: Path, name: str, tally: Tally, *, chunk_rows: int
) -> Iterator[pa.Table]:
    """Yield tables of at most `chunk_rows` rows; names are trimmed as in CSV.

    The nameless index of a pandas frame becomes the column 'index'. A column with times
    that Python does not have, such as those of the year 20,000, becomes text.
    """
    try:
        with open_bytes(path, name) as (handle, packed):
            source = pa.BufferReader(handle.read()) if packed else handle
            with pq.ParquetFile(source) as file:
                check_width(file.schema_arrow.names, name)
                names = header_names(_titles(file.schema_arrow), name)
                schema = _plain_schema(file, names)
                if not file.metadata.num_rows:
                    yield schema.empty_table()
                for batch in file.iter_batches(chunk_rows):
                    table = pa.Table.from_batches([batch]).rename_columns(names)
                    _check_texts(table, name, tally.rows)
                    tally.rows += batch.num_rows
                    yield _plain(table, schema)
    except pa.ArrowNotImplementedError as error:
        raise StcError(
            f"{name}: this kind of Parquet file is not read",
            got=str(error),
            remedy="Save it again with plain column types, or as CSV or JSONL.",
        ) from error
    except (pa.ArrowException, OSError, OverflowError) as error:
        raise StcError(
            f"{name}: the Parquet file is damaged, cut short or encrypted",
            got=str(error).partition("\n")[0],
            remedy="Save or download it again.",
        ) from error


def _titles(schema: pa.Schema) -> list[str]:
    """The names of the columns; names that pandas made up for an index are 'index'."""
    names = list(schema.names)
    made_up = [n for n in names if _INDEX.fullmatch(n) and n in _index_columns(schema)]
    for number, title in enumerate(made_up):
        wanted = "index" if len(made_up) == 1 else f"index {number + 1}"
        names[names.index(title)] = title if wanted in names else wanted
    return names


def _index_columns(schema: pa.Schema) -> list[str]:
    """The names of the index columns in the note of pandas; none without a note."""
    try:
        noted = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    except ValueError:  # a note that somebody else wrote changes no cell
        return []
    columns = noted.get("index_columns") if isinstance(noted, dict) else None
    listed = columns if isinstance(columns, list) else []
    return [one for one in listed if isinstance(one, str)]


def _plain_schema(file: pq.ParquetFile, names: list[str]) -> pa.Schema:
    """The names and plain types of the columns.

    Columns of times are read once more for it: a type holds for all chunks of a column.
    """
    fields = list(file.schema_arrow)
    timed = [field.name for field in fields if any(map(_is_time, _leaves(field.type)))]
    far: set[str] = set()
    for batch in file.iter_batches(columns=timed) if timed else ():
        far |= {title for title in timed if _has_far_times(batch.column(title))}
    kinds = [_plain_type(one.type, times_as_text=one.name in far) for one in fields]
    texts = [pa.large_string() if pa.types.is_string(kind) else kind for kind in kinds]
    return pa.schema(list(zip(names, texts, strict=True)))


def _children(kind: pa.DataType) -> list[pa.DataType]:
    return [kind.field(place).type for place in range(kind.num_fields)]


def _leaves(kind: pa.DataType) -> list[pa.DataType]:
    """The types that a type is made of, without lists and structs."""
    if not kind.num_fields:
        return [kind]
    return [leaf for child in _children(kind) for leaf in _leaves(child)]


def _is_time(kind: pa.DataType) -> bool:
    is_date = pa.types.is_date32(kind) or pa.types.is_date64(kind)
    return is_date or pa.types.is_timestamp(kind) or pa.types.is_duration(kind)


def _has_far_times(array: pa.Array) -> bool:
    """Whether there is a time, also inside a list or struct, that Python lacks."""
    kind = array.type
    if pa.types.is_struct(kind):
        parts = (array.field(place) for place in range(kind.num_fields))
        return any(map(_has_far_times, parts))
    if kind.num_fields:
        parts = (array.keys, array.items) if pa.types.is_map(kind) else (array.values,)
        return any(map(_has_far_times, parts))
    if not _is_time(kind):
        return False
    unit = getattr(kind, "unit", "ms")
    days = pa.types.is_date32(kind)
    whole = array.cast(pa.int32() if days else pa.int64())
    ends: Any = pc.min_max(whole).as_py()  # pyright: ignore[reportAttributeAccessIssue]
    if ends["min"] is None:
        return False
    scale = 1 if days else _PER_SECOND[unit]
    seconds = [end * 86_400 if days else end // scale for end in ends.values()]
    if pa.types.is_duration(kind):
        return max(map(abs, seconds)) >= _LONGEST_S
    return seconds[0] < _EARLIEST or seconds[1] > _LATEST


def _plain_type(kind: pa.DataType, *, times_as_text: bool) -> pa.DataType:
    """The type for a reader that knows no categories, views and extensions."""
    while isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type, times_as_text=times_as_text)
    if pa.types.is_string_view(kind) or pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if _is_time(kind):
        return pa.string() if times_as_text else kind
    if not kind.num_fields:
        return kind
    inner = [
        field.with_type(_plain_type(field.type, times_as_text=times_as_text))
        for field in (kind.field(place) for place in range(kind.num_fields))
    ]
    if pa.types.is_struct(kind):
        return pa.struct(inner)
    if pa.types.is_map(kind):
        pair = inner[0].type
        return pa.map_(pair.field(0).type, pair.field(1))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(inner[0], kind.list_size)
    return pa.large_list(inner[0]) if pa.types.is_large_list(kind) else pa.list_(*inner)


def _check_texts(table: pa.Table, name: str, first: int) -> None:
    """StcError for a text that is not UTF-8; `first` rows come before the table."""
    for title, column in zip(table.column_names, table.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            raise StcError(
                f"{name}, column {title!r}, row {first + 1} or one below it",
                expected="text in UTF-8",
                got=str(error).partition("\n")[0],
                remedy="Save the column as bytes (binary), or write its text anew.",
            ) from error


def _plain(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the types of `schema`."""
    columns = []
    for column, kind in zip(table.columns, schema.types, strict=True):
        while isinstance(column.type, pa.BaseExtensionType):
            storage = column.type.storage_type
            parts = [part.storage for part in column.chunks]
            column = pa.chunked_array(parts, storage)
        columns.append(column if column.type == kind else column.cast(kind))
    return pa.table(columns, schema=schema)
