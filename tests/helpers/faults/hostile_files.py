"""Files that nobody should upload, made in code: broken, huge, or odd on purpose.

Each maker gets a scale: 1 is small enough for the test suite, 100 is what a person who
means harm sends.
"""

import gzip
import io
import json
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Maker = Callable[[int], bytes]
"""Gives the bytes of a file of some scale."""

_ROWS = [("the courier was late", "delivery"), ("i was charged twice", "billing")] * 20


def csv_of(rows: list[tuple[str, ...]] | None = None, *, ends: str = "\n") -> bytes:
    lines = [",".join(row) for row in [("text", "label"), *(rows or _ROWS)]]
    return (ends.join(lines) + ends).encode()


def parquet_of(**columns: pa.Array) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def cells(*texts: str) -> bytes:
    """A table whose texts hold these pieces."""
    rows = [(f"{text} number {n}", "ab"[n % 2]) for n in range(20) for text in texts]
    return csv_of(rows)


def deep_list(depth: int) -> pa.Array:
    array = pa.array([1, 2])
    for _ in range(depth):
        array = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), array)
    return array


def kinds_of_arrays() -> dict[str, pa.Array]:
    """Arrays of every kind that a Parquet file can bring."""
    when = pa.array([2**62, -(2**62)])
    return {
        "binary_view": pa.array([b"caf\xc3\xa9", b"\xff"], pa.binary_view()),
        "string_view": pa.array(["a", "b"], pa.string_view()),
        **{f"far_{unit}": when.cast(pa.timestamp(unit)) for unit in ("ms", "us")},
        "far_zone": when.cast(pa.timestamp("us", tz="Europe/Paris")),
        "near_ns": when.cast(pa.timestamp("ns")),
        "date64": pa.array([2**40 * 86_400_000 // 2**30, 0]).cast(pa.date64()),
        "date32": pa.array([2**31 - 1, -(2**31)], pa.int32()).cast(pa.date32()),
        "time": pa.array([86_399_999_999, 0]).cast(pa.time64("us")),
        "span": when.cast(pa.duration("us")),
        "decimal": pa.array(["1.5", None]).cast(pa.decimal256(60, 20)),
        "half": pa.array(np.array([1.5, np.inf], np.float16)),
        "nested": pa.array([{"a": [{"b": b"\xff"}]}, None]),
        "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
        "category": pa.array(["x", None]).dictionary_encode(),
        "wrong_utf8": pa.Array.from_buffers(
            pa.string(),
            2,
            [
                None,
                pa.py_buffer(b"\0\0\0\0\2\0\0\0\4\0\0\0"),
                pa.py_buffer(b"\xff\xfeab"),
            ],
        ),
        "deep": deep_list(60),
        "inside_view": pa.array([[b"x"], None], pa.list_(pa.binary_view())),
        "inside_far": pa.array([[2**62], None], pa.list_(pa.timestamp("ms"))),
        "far_in_struct": pa.array(
            [{"t": -(2**62)}, None], pa.struct([("t", pa.timestamp("us"))])
        ),
    }


def parquet_text(name: str) -> bytes:
    """A table with one odd column beside texts and labels."""
    odd = kinds_of_arrays()[name]
    return parquet_of(
        text=pa.array(["one text", "another text"]), label=pa.array(["a", "b"]), odd=odd
    )


def damaged_parquet(place: str) -> bytes:
    whole = parquet_of(
        text=pa.array([row[0] for row in _ROWS]), label=pa.array([r[1] for r in _ROWS])
    )
    middle = {"pages": 40, "footer": len(whole) - 60, "length": len(whole) - 7}
    if place == "cut":
        return whole[: len(whole) // 2]
    if place == "head only":
        return b"PAR1"
    at = middle[place]
    return (
        whole[:at] + bytes(byte ^ 0x5A for byte in whole[at : at + 6]) + whole[at + 6 :]
    )


HOSTILE: dict[str, Maker] = {
    "empty": lambda n: b"",
    "blank lines": lambda n: b"\n" * (1000 * n),
    "header only": lambda n: b"text,label\n",
    "binary": lambda n: bytes(range(256)) * n,
    "elf": lambda n: b"\x7fELF" + np.random.default_rng(0).bytes(2000 * n),
    "zeros": lambda n: bytes(10_000 * n),
    "NUL in a cell": lambda n: csv_of([("a\0b", "x"), *_ROWS]),
    "NUL late": lambda n: csv_of([("words " * 200, "a")] * 500) + b"a\0b,x\n",
    "NUL in UTF-16": lambda n: (
        csv_of([("a\0b", "x"), *_ROWS]).decode().encode("utf-16")
    ),
    "UTF-16 with a mark": lambda n: csv_of().decode().encode("utf-16"),
    "UTF-16 without a mark": lambda n: csv_of().decode().encode("utf-16-le"),
    "UTF-16 cut in a character": lambda n: csv_of().decode().encode("utf-16")[:-1],
    "UTF-16 lone half": lambda n: (
        csv_of().decode().encode("utf-16") + b"\x00\xd8,\0a\0\n\0"
    ),
    "UTF-32": lambda n: csv_of().decode().encode("utf-32"),
    "UTF-32 out of range": lambda n: b"\xff\xfe\0\0" + b"\xff\xff\xff\x7f" * 20,
    "UTF-7 look": lambda n: cells("+AD0-cmd|+ACI-"),
    "one long line": lambda n: (
        b"text,label\n" + b"word " * (20_000 * n) + b",a\n" + csv_of()[11:]
    ),
    "one long line without an end": lambda n: b"x" * (100_000 * n),
    "one long header": lambda n: b"y" * (100_000 * n) + b",label\na,b\n",
    "many columns": lambda n: (
        (",".join(f"c{i}" for i in range(200 * n)) + "\n").encode()
        + (",".join("1" for _ in range(200 * n)) + "\n").encode() * 3
    ),
    "many columns in JSON": lambda n: (
        (json.dumps({f"c{i}": "1" for i in range(200 * n)}) + "\n").encode() * 3
    ),
    "other keys in each record": lambda n: "".join(
        json.dumps({f"key {i}": "1", "text": "some words"}) + "\n"
        for i in range(80 * n)
    ).encode(),
    "many columns in Parquet": lambda n: parquet_of(
        **{f"c{i}": pa.array(["a"]) for i in range(200 * n)}
    ),
    "delimiters only": lambda n: b"," * (10_000 * n) + b"\n" + b"," * (10_000 * n),
    "a quote never closed": lambda n: (
        b'text,label\n"never closed,a\n' + csv_of()[11:] * (50 * n)
    ),
    "quotes everywhere": lambda n: b"text,label\n" + b'"""",""\n"\n""",\n' * (100 * n),
    "backslashed quotes": lambda n: (
        b"text,label\n" + b'"a \\" b","c\\\\"\n' * (100 * n)
    ),
    "quote in the header": lambda n: b'"text,label\na,b\nc,d\n',
    "formulas": lambda n: cells(
        "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1"
    ),
    "right to left": lambda n: cells("שלום עולם", "\u202eevil\u202c", "مرحبا"),
    "zero width": lambda n: cells("\u200b\u200d\ufeff", "a\u200bb", "\u2060"),
    "zero width header": lambda n: csv_of().replace(
        b"text", "\u200btext\ufeff".encode()
    ),
    "lone surrogates in JSON": lambda n: (
        b'{"text": "a \\ud800 b", "label": "\\udfff"}\n' * 20
    ),
    "lone surrogates in bytes": lambda n: csv_of() + b"\xed\xa0\x80 half,a\n",
    "combining marks": lambda n: cells("e" + "\u0301" * (100 * n)),
    "control characters": lambda n: cells("\x01\x02", "bell \x07"),
    "escape sequences": lambda n: cells("\x1b[31mred\x1b[0m", "\x1b]0;title\x07"),
    "carriage returns": lambda n: csv_of(ends="\r"),
    "mixed line ends": lambda n: (
        csv_of(ends="\r\n") + csv_of()[11:] + csv_of(ends="\r")[11:]
    ),
    "other line ends": lambda n: cells("a\u2028b", "a\x85b", "a\x0bb\x0cc"),
    "one class for each row": lambda n: csv_of(
        [(f"text of row {i}", f"class {i}") for i in range(10_000 * n)]
    ),
    "equal rows": lambda n: csv_of([("the same", "a")] * (5000 * n)),
    "sep hint": lambda n: b"sep=;\ntext;label\na b c;x\nd e f;y\n",
    "sep in the header": lambda n: b"sep=;text;label\n1;a b c;x\n2;d e f;y\n",
    "sep alone": lambda n: b"sep=;\n",
    "sep and nothing": lambda n: b"sep=\n",
    "gz bomb of zeros": lambda n: gzip.compress(bytes(400_000 * n)),
    "gz bomb of one cell": lambda n: gzip.compress(
        b"text,label\n" + b"a" * (400_000 * n) + b",b\n"
    ),
    "gz bomb of lines": lambda n: gzip.compress(b"text,label\n" + b"\n" * (60_000 * n)),
    "gz bomb of rows": lambda n: gzip.compress(
        b"text,label\n" + b"a,b\n" * (4_000 * n)
    ),
    "gz bomb of a JSON cell": lambda n: gzip.compress(
        b'[{"text": "' + b"a" * (400_000 * n) + b'"}]'
    ),
    "gz bomb of a JSON line": lambda n: gzip.compress(
        b'{"text": "' + b"a" * (400_000 * n) + b'"}\n'
    ),
    "gz bomb of JSON spaces": lambda n: gzip.compress(
        b"[" + b" " * (400_000 * n) + b"]"
    ),
    "gz in gz": lambda n: gzip.compress(gzip.compress(csv_of())),
    "gz cut": lambda n: gzip.compress(csv_of(_ROWS * 50))[:-30],
    "gz wrong sum": lambda n: gzip.compress(csv_of())[:-8] + b"\0" * 8,
    "gz head only": lambda n: b"\x1f\x8b",
    "JSON nested deeply": lambda n: b'{"a":' * (2000 * n) + b"1" + b"}" * (2000 * n),
    "JSON lists nested deeply": lambda n: b"[" * (20_000 * n) + b'{"a": 1}',
    "JSON cell nested deeply": lambda n: (
        b'{"text": "a", "b": ' + b"[" * (500 * n) + b"]" * (500 * n) + b"}\n"
    ),
    "JSON long number": lambda n: (
        b'{"text": "a b", "label": ' + b"9" * (5000 * n) + b"}\n" * 2
    ),
    "JSON large exponent": lambda n: b'{"text": "a b", "label": 1e999999}\n' * 10,
    "JSON constants": lambda n: (
        b'{"text": NaN, "label": Infinity, "x": -Infinity}\n' * 10
    ),
    "JSON repeated field": lambda n: b'{"text": "a", "text": "b"}\n',
    "JSON cut": lambda n: b'[{"text": "a", "label": "b"}, {"text": "c',
    "JSON of a list of lists": lambda n: b'[["text", "label"], ["a", "b"]]',
    "JSON scalar lines": lambda n: b'{"text": "a"}\n17\n',
    "JSON empty records": lambda n: b"{}\n{}\n",
    "JSON empty list": lambda n: b"[]",
    "JSON empty key": lambda n: b'{"": "a b", "label": "x"}\n' * 20,
    "JSON surrogate key": lambda n: b'{"\\ud800": "a b", "label": "x"}\n' * 20,
    "JSON NUL": lambda n: b'{"text": "a\\u0000b", "label": "x"}\n' * 20,
    "zip archive": lambda n: b"PK\x03\x04" + bytes(60),
    "html page": lambda n: (
        b"<!doctype html>\n<html><body>404, not found</body></html>\n"
    ),
    "python pickle": lambda n: (
        b"\x80\x04\x95\x1f\x00\x00\x00cos\nsystem\n(S'true'\ntR."
    ),
    "no header names": lambda n: b",,\na,b,c\nd,e,f\n",
    "the same header twice": lambda n: b"text,text\na,b\n",
    "header in the middle": lambda n: csv_of() + csv_of(),
    "ragged": lambda n: b"text,label\n" + b"a\na,b,c,d\n" * (50 * n),
    "Parquet without rows": lambda n: parquet_of(text=pa.array([], pa.string())),
    "Parquet without columns": lambda n: parquet_of(),
    "Parquet bomb": lambda n: parquet_of(
        text=pa.array(["x" * 1000]).take(pa.array(np.zeros(500 * n, np.int64))),
        label=pa.array(["y"]).take(pa.array(np.zeros(500 * n, np.int64))),
    ),
    "Parquet with a wrong pandas note": lambda n: _with_note(b"not json"),
    "Parquet with another pandas note": lambda n: _with_note(b'["index_columns"]'),
    "Parquet with index columns 7": lambda n: _with_note(b'{"index_columns": 7}'),
    "Parquet bytes in the pandas note": lambda n: _with_note(b"\xff\xfe"),
    **{
        f"Parquet {place}": (lambda n, place=place: damaged_parquet(place))
        for place in ("cut", "head only", "pages", "footer", "length")
    },
    **{
        f"Parquet of {name}": (lambda n, name=name: parquet_text(name))
        for name in kinds_of_arrays()
    },
    "Parquet in gz": lambda n: gzip.compress(
        parquet_of(text=pa.array(["a", "b"]), label=pa.array(["x", "y"]))
    ),
}
"""By what it is: the maker of a hostile file."""


def _with_note(note: bytes) -> bytes:
    """A Parquet file with what pandas writes about its index replaced."""
    table = pa.table({"text": ["a b", "c d"], "label": ["x", "y"]})
    file = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({b"pandas": note}), file)
    return file.getvalue()
