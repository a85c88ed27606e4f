"""Tables in: CSV, TSV, JSONL, JSON and Parquet, whole or as a stream of chunks.

Text is read once, row by row, into Arrow columns, so a file costs about its own size
in memory and every complaint can name its row. Nothing is inferred from CSV cells.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stc_core.errors import StcError
from stc_core.records import read_records
from stc_core.sniff import Sniffed, open_bytes, sniff

CHUNK_ROWS = 8192
CHUNK_CHARS = 1 << 23
NAMED_ROWS = 100
MAX_LONG_SHARE = 0.1

_STRAY_BYTES = re.compile("[\udc80-\udcff]+")
_STRAY_HALVES = re.compile("[\ud800-\udfff]")


@dataclass
class Tally:
    """What reading met: rows so far, and what had to be mended.

    `short` rows had too few fields, `long` ones too many, `repaired` ones bytes that
    do not belong to the encoding; each is counted and the first rows are named.
    """

    rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    named: dict[str, list[int]] = field(default_factory=dict)

    def note(self, what: Literal["short", "long", "repaired"], row: int) -> None:
        self.counts[what] += 1
        if self.counts[what] <= NAMED_ROWS:
            self.named.setdefault(what, []).append(row)


def read_table(path: str | Path, *, nrows: int | None = None) -> pd.DataFrame:
    """The file's rows, in order; row n of the file (header excluded) is position n-1.

    CSV cells stay the strings they were ('001', 'NA', 'null'); an empty cell is ''.
    JSON cells become strings, null is missing; Parquet keeps its types. A row with too
    many fields keeps its place, but all its cells are missing. `frame.attrs["source"]`
    holds format, encoding, delimiter, rows, and which rows were short, long, repaired.
    """
    path = Path(path)
    sniffed = sniff(path)
    tally = Tally()
    rows = _batches(
        path, sniffed, tally, chunk_rows=min(nrows or CHUNK_ROWS, CHUNK_ROWS)
    )
    tables, left = [], nrows
    for table in rows:
        tables.append(table if left is None else table.slice(0, left))
        left = None if left is None else left - tables[-1].num_rows
        if left is not None and left <= 0:
            break
    del rows
    if not tables or not any(table.num_rows for table in tables):
        raise StcError(
            path.name,
            expected="a header row and at least one row of data",
            got="a header and no rows",
        )
    if tally.counts["long"] > MAX_LONG_SHARE * tally.rows:
        raise _long_rows(path, sniffed, tally, tables[0].num_columns)
    whole = pa.concat_tables(tables)
    frame = _to_frame(whole)
    frame.attrs["source"] = _facts(sniffed, tally, len(frame))
    return frame


def iter_table(
    path: str | Path, *, chunk_rows: int = CHUNK_ROWS
) -> Iterator[pd.DataFrame]:
    """The same rows and types as `read_table`, a chunk at a time, for any length.

    The index counts on from chunk to chunk. A row with too many fields is an error
    here, for nothing of the input may be lost.
    """
    path = Path(path)
    sniffed = sniff(path)
    tally = Tally()
    start = 0
    for table in _batches(path, sniffed, tally, chunk_rows=chunk_rows):
        if tally.counts["long"]:
            raise _long_rows(path, sniffed, tally, table.num_columns)
        frame = _to_frame(table)
        frame.index = pd.RangeIndex(start, start + len(frame))
        start += len(frame)
        frame.attrs["source"] = _facts(sniffed, tally, start)
        yield frame


def _facts(sniffed: Sniffed, tally: Tally, rows: int) -> dict[str, Any]:
    return {
        "format": sniffed.format,
        "encoding": sniffed.encoding,
        "delimiter": sniffed.delimiter,
        "rows": rows,
        "counts": dict(tally.counts),
        "named": {what: list(rows) for what, rows in tally.named.items()},
    }


def _batches(
    path: Path, sniffed: Sniffed, tally: Tally, *, chunk_rows: int
) -> Iterator[pa.Table]:
    """Arrow tables of at most `chunk_rows` rows, with the same columns each."""
    if sniffed.format == "parquet":
        yield from _parquet_batches(path, sniffed, tally, chunk_rows=chunk_rows)
        return
    if sniffed.format in ("json", "jsonl"):
        names = _json_names(path, sniffed)
        with open_text(path, sniffed) as handle:
            records = read_records(handle, path.name, listed=sniffed.format == "json")
            while part := list(islice(records, chunk_rows)):
                rows = [tuple(map(record.get, names)) for record in part]
                yield _text_table(rows, names, tally)
        return
    with open_text(path, sniffed) as handle:
        yield from _csv_batches(handle, path, sniffed, tally, chunk_rows=chunk_rows)


class open_text:
    """A context with the decoded file; bytes that do not decode survive as marks."""

    def __init__(self, path: Path, sniffed: Sniffed) -> None:
        self.bytes = open_bytes(path)
        self.encoding = sniffed.encoding
        wide = (sniffed.encoding or "").startswith(("utf-16", "utf-32"))
        self.errors = "replace" if wide else "surrogateescape"

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


# --- delimited text


class _Lines:
    """The lines of a file, remembering those of the record that is being read."""

    def __init__(self, handle: Iterable[str]) -> None:
        self.handle = iter(handle)
        self.record: list[str] = []
        self.number = 0
        self.chars = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = next(self.handle)
        self.record.append(line)
        self.number += 1
        self.chars += len(line)
        return line


def _csv_batches(
    handle: Iterable[str],
    path: Path,
    sniffed: Sniffed,
    tally: Tally,
    *,
    chunk_rows: int,
) -> Iterator[pa.Table]:
    assert sniffed.delimiter is not None, sniffed
    lines = _Lines(handle)
    reader = csv.reader(lines, delimiter=sniffed.delimiter, quoting=sniffed.quoting)
    names = header_names(_first_row(reader), path)
    width, rows = len(names), []
    last: list[str] = []
    lines.record.clear()
    for cells in reader:
        if len(lines.record) > 1:
            _check_quotes(lines, path, sniffed, tally.rows + len(rows) + 1)
        last[:] = lines.record
        lines.record.clear()
        if not cells:
            continue
        if len(cells) != width:
            cells = _fit(cells, width, tally, tally.rows + len(rows) + 1)
        rows.append(cells)
        if len(rows) == chunk_rows or lines.chars > CHUNK_CHARS:
            yield _text_table(rows, names, tally)
            rows, lines.chars = [], 0
    lines.record = last
    _check_quotes(lines, path, sniffed, tally.rows + len(rows))
    yield _text_table(rows, names, tally)


def _first_row(reader: Iterator[list[str]]) -> list[str]:
    """The first row that is not blank, nor the 'sep=;' that Excel may put on top."""
    rows = (row for row in reader if any(cell.strip() for cell in row))
    first = next(rows, [])
    return next(rows, []) if first and first[0].startswith("sep=") else first


def header_names(cells: list[str], path: Path) -> list[str]:
    """The column names, trimmed; a nameless column is called 'column n'."""
    names = [cell.strip().lstrip("\ufeff") for cell in cells]
    names = [name or f"column {n}" for n, name in enumerate(names, 1)]
    seen: dict[str, list[int]] = {}
    for n, name in enumerate(names, 1):
        seen.setdefault(name, []).append(n)
    twice = {name: at for name, at in seen.items() if len(at) > 1}
    if twice:
        said = "; ".join(
            f"{name!r} heads columns {' and '.join(map(str, at))}"
            for name, at in twice.items()
        )
        raise StcError(
            f"{path.name}, header row",
            expected="a different name for each column",
            got=said,
            remedy="Rename or delete the repeated columns in the file.",
        )
    return [_mend(name) for name in names]


def _fit(
    cells: list[str], width: int, tally: Tally, row: int
) -> list[str] | list[None]:
    """The row at the header's width: short rows are filled, long ones emptied."""
    if len(cells) > width and not any(cell.strip() for cell in cells[width:]):
        return cells[:width]
    if len(cells) > width:
        tally.note("long", row)
        return [None] * width
    tally.note("short", row)
    return cells + [""] * (width - len(cells))


def _check_quotes(lines: _Lines, path: Path, sniffed: Sniffed, row: int) -> None:
    """Refuse a record whose quotes do not close: it has swallowed other rows."""
    assert sniffed.delimiter is not None, sniffed
    if sniffed.quoting == csv.QUOTE_NONE or '"' not in "".join(lines.record[:1]):
        return
    strict = csv.reader(iter(lines.record), delimiter=sniffed.delimiter, strict=True)
    try:
        for _ in strict:
            pass
    except csv.Error as error:
        first = lines.number - len(lines.record) + 1
        raise StcError(
            f"{path.name}, row {row} (line {first})",
            expected='every quote " that opens a cell to be closed',
            got=f"a cell that runs on to line {lines.number} ({error})",
            remedy='Close the quote, or write a quote inside a cell as "".',
        ) from error


# --- JSON


def _json_names(path: Path, sniffed: Sniffed) -> list[str]:
    """The keys of all records, in order of appearance: a first pass over the file."""
    names: dict[str, None] = {}
    with open_text(path, sniffed) as handle:
        for record in read_records(handle, path.name, listed=sniffed.format == "json"):
            if not names.keys() >= record.keys():
                names.update(dict.fromkeys(record))
    if not names:
        raise StcError(path.name, expected="records with fields", got="none")
    return list(names)


def _json_cell(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


# --- Parquet


def _parquet_batches(
    path: Path, sniffed: Sniffed, tally: Tally, *, chunk_rows: int
) -> Iterator[pa.Table]:
    try:
        with open_bytes(path) as (handle, packed):
            source = pa.BufferReader(handle.read()) if packed else handle
            file = pq.ParquetFile(source)
            names = header_names(file.schema_arrow.names, path)
            keep = [n for n in names if not n.startswith("__index_level_")]
            for batch in file.iter_batches(chunk_rows, columns=keep):
                tally.rows += batch.num_rows
                yield _plain_types(pa.Table.from_batches([batch]))
    except pa.ArrowInvalid as error:
        raise StcError(
            f"{path.name}: the Parquet file is damaged or cut short", got=str(error)
        ) from error


def _plain_types(table: pa.Table) -> pa.Table:
    """Categories as their values, all strings of one type, no typeless columns."""
    fields = []
    for column in table.schema:
        kind = column.type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        text = pa.types.is_string(kind) or pa.types.is_string_view(kind)
        kind = pa.large_string() if text or pa.types.is_null(kind) else kind
        fields.append(pa.field(column.name, kind))
    return table.cast(pa.schema(fields))


# --- Arrow and pandas


def _text_table(rows: list[Any], names: list[str], tally: Tally) -> pa.Table:
    """String columns of one chunk; cells that do not encode are mended and noted."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    arrays = []
    pool = pa.system_memory_pool()  # half the slack of Arrow's own for many chunks
    for cells in columns:
        try:
            arrays.append(pa.array(cells, pa.large_string(), memory_pool=pool))
        except (UnicodeEncodeError, pa.ArrowTypeError, pa.ArrowInvalid):
            texts = [_json_cell(cell) for cell in cells]
            mended = [text and _mend(text) for text in texts]
            arrays.append(pa.array(mended, pa.large_string(), memory_pool=pool))
            for n, text in enumerate(texts, tally.rows + 1):
                if text and _STRAY_HALVES.search(text):
                    tally.note("repaired", n)
    tally.rows += len(rows)
    return pa.table(arrays, names=names)


def _mend(text: str) -> str:
    """The text with bytes that were no UTF-8 read as Windows-1252."""
    if text.isascii():
        return text
    text = _STRAY_BYTES.sub(lambda found: _western(found.group()), text)
    return _STRAY_HALVES.sub("\ufffd", text)


def _western(marks: str) -> str:
    raw = marks.encode("ascii", "surrogateescape")
    return "".join(
        bytes([byte]).decode("latin-1" if byte in b"\x81\x8d\x8f\x90\x9d" else "cp1252")
        for byte in raw
    )


def _to_frame(table: pa.Table) -> pd.DataFrame:
    return table.to_pandas(types_mapper=_pandas_type, ignore_metadata=True)


def _pandas_type(kind: pa.DataType) -> Any:
    if pa.types.is_large_string(kind):
        return pd.StringDtype(na_value=np.nan)
    return pd.ArrowDtype(kind)


# --- complaints


def _long_rows(path: Path, sniffed: Sniffed, tally: Tally, width: int) -> StcError:
    rows, count = tally.named["long"], tally.counts["long"]
    some = ", ".join(map(str, rows[:5])) + (", ..." if count > 5 else "")
    return StcError(
        path.name,
        expected=f"{width} fields in each row, as in the header",
        got=f"{count} of {tally.rows} rows with more (row {some}), "
        f"read with the delimiter {sniffed.delimiter!r}",
        remedy=f'Put cells that contain {sniffed.delimiter!r} in quotes "...".',
    )
