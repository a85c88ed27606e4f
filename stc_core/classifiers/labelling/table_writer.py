"""A table written part by part to a file of any format, or to standard output."""

import gzip
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stc_core.cells import json_text
from stc_core.data.reading.pipes import is_stream
from stc_core.errors import StcError
from stc_core.files import replacing
from stc_core.frames import write_csv
from stc_core.streams import table_output

_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet", ".csv.gz", ".tsv.gz", ".jsonl.gz")
Write = Callable[[pd.DataFrame], int]
"""Appends a frame, and gives the number of cells that were escaped."""


@contextmanager
def table_writer(
    out: str | Path, *, source: str | Path, keep_formulas: bool = False
) -> Iterator[Write]:
    """A function that appends a frame to `out`; the file appears at the end."""
    if str(out) == "-":
        with table_output() as handle:
            yield _text_writer(handle, ".csv", keep_formulas=keep_formulas)
        return
    out = Path(out)
    suffix = _suffix(out)
    if not is_stream(source) and out.absolute().parent == Path(source).absolute():
        raise StcError(
            f"out {str(out)!r}",
            expected="a file outside the folder of tables that is read",
            remedy="Choose another --out.",
        )
    if out.exists() and not is_stream(source) and out.samefile(source):
        raise StcError(
            f"out {str(out)!r}",
            expected="a file other than the table that is read",
            remedy="Choose another --out.",
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as path:
        if suffix == ".parquet":
            with _ParquetFile(path) as file:
                yield file.write
        else:
            with _open_text(path, suffix) as handle:
                yield _text_writer(handle, suffix, keep_formulas=keep_formulas)


def _suffix(out: Path) -> str:
    for suffix in _SUFFIXES:
        if out.name.lower().endswith(suffix):
            return suffix
    raise StcError(
        f"out {str(out)!r}",
        expected=f"a name that ends in {', '.join(_SUFFIXES)}",
        remedy="The suffix chooses the format; '-' writes CSV to the terminal.",
    )


def _open_text(path: Path, suffix: str) -> io.TextIOWrapper:
    if suffix.endswith(".gz"):
        return gzip.open(path, "wt", encoding="utf-8", newline="")
    return path.open("w", encoding="utf-8", newline="")


def _text_writer(handle: Any, suffix: str, *, keep_formulas: bool) -> Write:
    first = True

    def write(frame: pd.DataFrame) -> int:
        nonlocal first
        n_escaped = 0
        if suffix.startswith(".jsonl"):
            with_nulls = frame.astype(object).where(frame.notna(), None)
            for row in with_nulls.to_dict("records"):
                handle.write(f"{json_text(row)}\n")
        else:
            separator = "\t" if suffix.startswith(".tsv") else ","
            n_escaped = write_csv(
                frame,
                handle,
                separator=separator,
                header=first,
                keep_formulas=keep_formulas,
            )
        first = False
        return n_escaped

    return write


class _ParquetFile:
    """A Parquet file to which frames with the same columns are appended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer: pq.ParquetWriter | None = None

    def __enter__(self) -> "_ParquetFile":
        return self

    def __exit__(self, *exception: object) -> None:
        if self.writer is not None:
            self.writer.close()

    def write(self, frame: pd.DataFrame) -> int:
        """Append the frame; no cell of a Parquet file is ever run, so 0."""
        schema = None if self.writer is None else self.writer.schema
        table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
        table = table.replace_schema_metadata()  # plain columns for any reader
        if self.writer is None:
            self.writer = pq.ParquetWriter(self.path, table.schema)
        self.writer.write_table(table)
        return 0
