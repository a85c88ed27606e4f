"""Reads tables from CSV, TSV, JSONL, JSON and Parquet, whole or in chunks.

Text is read once, row by row, into Arrow columns. So a table takes about the memory of
its file, and every error can name its row. No types are inferred from CSV cells.
"""

import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from stc_core.data.reading.delimited import csv_batches, header_names
from stc_core.data.reading.json_records import nested_error, read_records
from stc_core.data.reading.limits import check_width
from stc_core.data.reading.parquet import parquet_batches
from stc_core.data.reading.pipes import regular_file, source_name
from stc_core.data.reading.repairs import Tally, mend, text_table
from stc_core.data.reading.sniff import Sniffed, open_bytes, sniff
from stc_core.errors import StcError

_CHUNK_ROWS = 8192
MAX_LONG_SHARE = 0.1


class _Source(NamedTuple):
    """A table to read: its file, its name in messages, and how to open it."""

    file: Path
    name: str
    sniffed: Sniffed


def read_table(
    path: str | Path, *, nrows: int | None = None, encoding: str | None = None
) -> pd.DataFrame:
    """The rows of the file, in order; row n (without the header) is at position n - 1.

    CSV cells stay strings ('001', 'NA', 'null'); an empty cell is ''. JSON cells become
    strings, and null is missing. Parquet keeps its types. A row with too many fields
    keeps its position, but all its cells are missing. The same holds for a row that
    repeats the header. `frame.attrs["source"]` holds format, encoding, delimiter, rows,
    and which rows were short, long or repaired. Without `encoding` the encoding of a
    text is detected. A pipe is copied to disk first.
    """
    with regular_file(path) as file:
        source = _open_source(path, file, encoding)
        tally = Tally(stray=source.sniffed.stray)
        tables = _read_rows(source, tally, nrows)
    if not tables or not any(table.num_rows for table in tables):
        raise StcError(
            source.name,
            expected="a header row and at least one row of data",
            got="a header and no rows",
        )
    if tally.counts["long"] > MAX_LONG_SHARE * tally.rows:
        raise _long_rows(source, tally, tables[0].num_columns)
    frame = _to_frame(pa.concat_tables(tables))
    frame.attrs["source"] = _facts(source, tally, len(frame))
    return frame


def _read_rows(source: _Source, tally: Tally, nrows: int | None) -> list[pa.Table]:
    """The tables of the first `nrows` rows (None: all)."""
    chunk_rows = min(nrows or _CHUNK_ROWS, _CHUNK_ROWS)
    rows = _batches(source, tally, chunk_rows=chunk_rows, whole=True)
    tables, remaining = [], nrows
    for table in rows:
        tables.append(table if remaining is None else table.slice(0, remaining))
        remaining = None if remaining is None else remaining - tables[-1].num_rows
        if remaining is not None and remaining <= 0:
            break
    return tables


def iter_table(
    path: str | Path, *, chunk_rows: int = _CHUNK_ROWS, encoding: str | None = None
) -> Iterator[pd.DataFrame]:
    """Yield the rows that `read_table` gives, chunk by chunk, for tables of any length.

    The index continues from chunk to chunk. A row with too many fields is an error
    here, since no row of the input may be lost.
    """
    start = 0
    with regular_file(path) as file:
        source = _open_source(path, file, encoding)
        tally = Tally(stray=source.sniffed.stray)
        for table in _batches(source, tally, chunk_rows=chunk_rows, whole=False):
            if tally.counts["long"]:
                raise _long_rows(source, tally, table.num_columns)
            frame = _to_frame(table)
            frame.index = pd.RangeIndex(start, start + len(frame))
            start += len(frame)
            frame.attrs["source"] = _facts(source, tally, start)
            yield frame


def _open_source(path: str | Path, file: Path, encoding: str | None) -> _Source:
    name = source_name(path)
    return _Source(file, name, sniff(file, name=name, encoding=encoding))


def _facts(source: _Source, tally: Tally, rows: int) -> dict[str, Any]:
    """The facts about a table that its frame carries."""
    sniffed = source.sniffed
    return {
        "format": sniffed.format,
        "encoding": sniffed.encoding,
        "delimiter": sniffed.delimiter,
        "candidates": [one._asdict() for one in sniffed.candidates],
        "sure": sniffed.sure,
        "stray": sniffed.stray,
        "rows": rows,
        "counts": dict(tally.counts),
        "named": {what: list(rows) for what, rows in tally.named.items()},
    }


def _batches(
    source: _Source, tally: Tally, *, chunk_rows: int, whole: bool
) -> Iterator[pa.Table]:
    """Arrow tables of at most `chunk_rows` rows, with the same columns each."""
    file, name, sniffed = source
    if sniffed.format == "parquet":
        yield from parquet_batches(file, name, tally, chunk_rows=chunk_rows)
        return
    if sniffed.format in ("json", "jsonl"):
        names, listed = _json_names(source), sniffed.format == "json"
        titles = _written_names(names, name)
        with open_text(source) as handle:
            records = read_records(handle, name, listed=listed, checked=False)
            while part := list(islice(records, chunk_rows)):
                rows = [tuple(map(record.get, names)) for record in part]
                try:
                    yield text_table(rows, titles, tally)
                except RecursionError as error:
                    raise nested_error(name) from error
        return
    with open_text(source) as handle:
        yield from csv_batches(
            handle, name, sniffed, tally, chunk_rows=chunk_rows, whole=whole
        )


class open_text:
    """A context manager for the decoded file; undecodable bytes stay as marks."""

    def __init__(self, source: _Source) -> None:
        self.bytes = open_bytes(source.file, source.name)
        self.encoding = source.sniffed.encoding
        self.errors = "surrogateescape" if _escapes(self.encoding) else "replace"

    def __enter__(self) -> io.TextIOWrapper:
        handle, _ = self.bytes.__enter__()
        return io.TextIOWrapper(
            handle,  # pyright: ignore[reportArgumentType]
            encoding=self.encoding,
            errors=self.errors,
            newline="",
        )

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.bytes.__exit__(kind, error, trace)


def _escapes(encoding: str | None) -> bool:
    """Whether a byte that the encoding does not know can stay in the text as a mark."""
    return not (encoding or "").startswith(("utf-16", "utf-32"))


def _json_names(source: _Source) -> list[str]:
    """The keys of all records, in order of appearance: a first pass over the file."""
    names: dict[str, None] = {}
    listed = source.sniffed.format == "json"
    with open_text(source) as handle:
        for record in read_records(handle, source.name, listed=listed):
            if not names.keys() >= record.keys():
                names.update(dict.fromkeys(record))
                check_width(names, source.name)
    if not names:
        raise StcError(source.name, expected="records with fields", got="no fields")
    return list(names)


def _written_names(names: list[str], name: str) -> list[str]:
    """The keys as column names: without halves of characters, which nothing can write.

    StcError if two keys then are the same.
    """
    titles = [mend(key) for key in names]
    return titles if titles == names else header_names(titles, name)


def _to_frame(table: pa.Table) -> pd.DataFrame:
    return table.to_pandas(types_mapper=_pandas_type, ignore_metadata=True)


def _pandas_type(kind: pa.DataType) -> Any:
    if pa.types.is_large_string(kind):
        return pd.StringDtype(na_value=np.nan)
    return pd.ArrowDtype(kind)


def _long_rows(source: _Source, tally: Tally, width: int) -> StcError:
    """The error for a table with too many rows that are too long."""
    rows, count = tally.named["long"], tally.counts["long"]
    delimiter = source.sniffed.delimiter
    examples = ", ".join(map(str, rows[:5])) + (", ..." if count > 5 else "")
    return StcError(
        source.name,
        expected=f"{width} fields in each row, as in the header",
        got=f"{count} of {tally.rows} rows with more (row {examples}), "
        f"read with the delimiter {delimiter!r}",
        remedy=f'Put cells that contain {delimiter!r} in quotes "...".',
    )
