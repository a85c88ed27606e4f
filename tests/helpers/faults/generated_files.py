"""Generated tables, whole or damaged, and what a reader must find in the whole ones."""

import csv
import gzip
import io
import json
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from helpers.faults.hostile_files import HOSTILE, kinds_of_arrays


class Generated(NamedTuple):
    """A file, and the columns and cells that it holds; None if it is damaged."""

    name: str
    content: bytes
    table: tuple[list[str], list[list[str]]] | None


ODD = "\"'\\,;|\t=+-@ \u200b\u202e\u0301é中😀\ufeff\x1b\u2028\x85{}[]<>&%$0"
LARGE = (
    "gz bomb",
    "one ",
    "equal rows",
    "NUL late",
    "many ",
    "other keys",
    "Parquet b",
)
"""How the names of large hostile files begin; generated ones are many, and small."""
SMALL = sorted(name for name in HOSTILE if not name.startswith(LARGE))
_letters = st.sampled_from("abcdefgh ")
_signs = st.sampled_from(ODD)
_any = st.characters(exclude_categories=("Cs",), exclude_characters="\0\x1a")
_texts = st.text(st.one_of(_letters, _letters, _signs, _any), max_size=30)
_lines = st.text(st.one_of(_letters, st.sampled_from(ODD + "\r\n")), max_size=30)
_names = st.text(st.one_of(_letters, _signs), min_size=1, max_size=8)
_values: SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=10),
        st.sampled_from(["\ud800", "a\udc00b", "\0"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
    ),
    max_leaves=6,
)


@st.composite
def tables(draw: DrawFn) -> tuple[list[str], list[list[str]]]:
    """Names of columns, and rows of text cells."""
    names = draw(st.lists(_names, max_size=3, unique_by=str.strip))
    heads = [
        "text",
        "label",
        *(name for name in names if name.strip("\ufeff ").strip()),
    ]
    n_rows = draw(st.integers(1, 12))
    cell = st.one_of(_texts, _lines)
    rows = [
        [
            draw(cell),
            draw(st.sampled_from(["a", "b", "=c", ""])),
            *(draw(_texts) for _ in heads[2:]),
        ]
        for _ in range(n_rows)
    ]
    return heads, rows


def _csv(draw: DrawFn, heads: list[str], rows: list[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    # The writer quotes no lone carriage return, which then ends a row.
    few = draw(st.booleans()) and not any("\r" in cell for row in rows for cell in row)
    writer = csv.writer(
        text,
        delimiter=draw(st.sampled_from(",;\t|")),
        lineterminator=draw(st.sampled_from(["\n", "\r\n"])),
        quoting=csv.QUOTE_MINIMAL if few else csv.QUOTE_ALL,
    )
    writer.writerows([heads, *rows])
    encoding = draw(st.sampled_from(["utf-8-sig", "utf-8-sig", "utf-16", "utf-8"]))
    return text.getvalue().encode(encoding)


def _json(draw: DrawFn, heads: list[str], rows: list[list[str]]) -> bytes:
    ascii_only = draw(st.booleans())
    records = [dict(zip(heads, row, strict=True)) for row in rows]
    lines = [json.dumps(record, ensure_ascii=ascii_only) for record in records]
    whole = "[" + ",".join(lines) + "]" if draw(st.booleans()) else "\n".join(lines)
    return whole.encode()


def _parquet(heads: list[str], rows: list[list[str]], **columns: pa.Array) -> bytes:
    file = io.BytesIO()
    cells = zip(*rows, strict=True)
    texts = {
        name: pa.array(list(cell)) for name, cell in zip(heads, cells, strict=True)
    }
    pq.write_table(pa.table({**texts, **columns}), file)
    return file.getvalue()


def _odd(draw: DrawFn, heads: list[str], rows: list[list[str]]) -> bytes:
    """A table with values of any kind in a further column."""
    n = len(rows)
    if draw(st.booleans()):
        kinds = kinds_of_arrays()
        array = kinds[draw(st.sampled_from(sorted(kinds)))]
        odd = pa.chunked_array([array] * n).combine_chunks().slice(0, n)
        return _parquet(heads, rows, odd=odd)
    records = [
        {**dict(zip(heads, row, strict=True)), "odd": draw(_values)} for row in rows
    ]
    return "\n".join(map(json.dumps, records)).encode()


def _damage(draw: DrawFn, content: bytes) -> bytes:
    size = len(content)
    start = draw(st.integers(0, size))
    stop = draw(st.integers(start, min(size, start + 40)))
    put = draw(
        st.one_of(
            st.binary(max_size=20),
            st.sampled_from(
                [b'"', b"\0", b"\n", b"\r", b"{", b"\xff\xfe", b"\x1f\x8b"]
            ),
        )
    )
    return content[:start] + put + (b"" if draw(st.booleans()) else content[stop:])


@st.composite
def files(draw: DrawFn) -> Generated:
    """A file with a table in some format; half of them are damaged."""
    heads, rows = draw(tables())
    kind = draw(st.sampled_from(["csv", "json", "parquet", "odd", "hostile"]))
    table: tuple[list[str], list[list[str]]] | None = (heads, rows)
    if kind == "hostile":
        content, table = HOSTILE[draw(st.sampled_from(SMALL))](1), None
    elif kind == "odd":
        content, table = _odd(draw, heads, rows), None
    elif kind == "parquet":
        content = _parquet(heads, rows)
    else:
        content = (_csv if kind == "csv" else _json)(draw, heads, rows)
    if draw(st.booleans()):
        content, table = _damage(draw, content), None
    if draw(st.integers(0, 2)) == 2:
        content = gzip.compress(content, 1)
        if table is None and draw(st.booleans()):
            content = _damage(draw, content)
    suffix = draw(st.sampled_from(["csv", "tsv", "txt", "json", "jsonl", "parquet"]))
    if table is not None:
        suffix = {"json": "json", "parquet": "parquet"}.get(kind, "csv")
    return Generated(f"table.{suffix}", content, table)
