"""Rows of a Parquet file as Arrow tables, with their types."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stc_core.data.reading.delimited import header_names
from stc_core.data.reading.repairs import Tally
from stc_core.data.reading.sniff import open_bytes
from stc_core.errors import StcError

_INDEX = re.compile(r"__index_level_\d+__")


def parquet_batches(
    path: Path, name: str, tally: Tally, *, chunk_rows: int
) -> Iterator[pa.Table]:
    """Yield tables of at most `chunk_rows` rows; names are trimmed as in CSV.

    The nameless index of a pandas frame becomes the column 'index'.
    """
    try:
        with open_bytes(path, name) as (handle, packed):
            source = pa.BufferReader(handle.read()) if packed else handle
            with pq.ParquetFile(source) as file:
                names = header_names(_titles(file.schema_arrow), name)
                empty = file.schema_arrow.empty_table().rename_columns(names)
                if not file.metadata.num_rows:
                    yield _plain_types(empty)
                for batch in file.iter_batches(chunk_rows):
                    tally.rows += batch.num_rows
                    table = pa.Table.from_batches([batch]).rename_columns(names)
                    yield _plain_types(table)
    except pa.ArrowNotImplementedError as error:
        raise StcError(
            f"{name}: this kind of Parquet file is not read",
            got=str(error),
            remedy="Save it again with plain column types, or as CSV or JSONL.",
        ) from error
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
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
    """The names of the index columns that pandas has recorded."""
    metadata = (schema.metadata or {}).get(b"pandas", b"{}")
    columns = json.loads(metadata).get("index_columns", [])
    return [one for one in columns if isinstance(one, str)]


def _plain_types(table: pa.Table) -> pa.Table:
    """The table with categories as values, one string type and no typeless columns."""
    columns, names = [], []
    for title, column in zip(table.column_names, table.columns, strict=True):
        names.append(title)
        columns.append(_plain(column))
    return pa.table(columns, names=names)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column with its plain type."""
    kind = column.type
    while isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
        column = pa.chunked_array([part.storage for part in column.chunks], kind)
    while pa.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    is_text = pa.types.is_string(kind) or pa.types.is_string_view(kind)
    return (
        column.cast(pa.large_string()) if is_text or pa.types.is_null(kind) else column
    )
