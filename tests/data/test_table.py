"""Reading tables: every format, encoding and quoting, and every damaged file."""

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stc_core.data.reading.dialect import sniff_dialect
from stc_core.data.reading.sniff import sniff, sniff_encoding
from stc_core.data.table import iter_table, read_table
from stc_core.errors import StcError

TEXTS = ["plain", 'she said "no", twice', "two\nlines", "Ünïcödé – 语言 🙂", " pad "]
LABELS = ["001", "NA", "null", "None", "1.0"]


def save(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    raw = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return path


def table(sep: str = ",") -> str:
    frame = pd.DataFrame({"text": TEXTS, "label": LABELS})
    return frame.to_csv(index=False, sep=sep, quoting=csv.QUOTE_MINIMAL)


def said(path: Path) -> str:
    with pytest.raises(StcError) as caught:
        read_table(path)
    return str(caught.value)


@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.txt"])
def test_csv_cells_stay_what_they_were(tmp_path, sep, name):
    frame = read_table(save(tmp_path, name, table(sep)))
    assert frame["text"].tolist() == TEXTS
    assert frame["label"].tolist() == LABELS
    assert frame["text"].dtype == pd.StringDtype(na_value=np.nan)
    assert frame.attrs["source"]["delimiter"] == sep
    assert frame.attrs["source"]["rows"] == len(TEXTS)


@pytest.mark.parametrize(
    ("codec", "expected"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("utf-32", "utf-32"),
    ],
)
def test_unicode_encodings(tmp_path, codec, expected):
    frame = read_table(save(tmp_path, "t.csv", table().encode(codec)))
    assert list(frame.columns) == ["text", "label"]
    assert frame["text"].tolist() == TEXTS
    assert frame.attrs["source"]["encoding"] == expected


@pytest.mark.parametrize(
    ("codec", "text"),
    [
        ("cp1252", "Très déçu, l’été à Noël coûte 5 €"),
        ("cp1252", "£100 a month – don’t"),
        ("cp1250", "Bardzo zły produkt, żałuję, nie polecam, świetnie łączy"),
        ("cp1251", "Очень плохой товар, не советую никому покупать. Сервис хороший"),
        ("shift_jis", "この商品はとても良いです。また買います。"),
        ("gb18030", "这个产品非常好，我会再买的。很差，不推荐给大家，浪费时间"),
    ],
)
def test_legacy_encodings(tmp_path, codec, text):
    rows = f'text,label\n"{text}",good\nplain,bad\n'
    frame = read_table(save(tmp_path, "t.csv", rows.encode(codec)))
    assert frame["text"].tolist() == [text, "plain"]


def test_a_character_cut_by_the_sample_is_no_damage():
    whole = ("é" * 9 + "\n").encode() * 3
    assert sniff_encoding(whole + "é".encode()[:1]).codec == "utf-8"
    assert sniff_encoding(whole, whole).codec == "utf-8"


def test_mixed_encodings_are_repaired_and_named(tmp_path):
    good, bad = "café,ok\n".encode(), "café à Noël,ok\n".encode("cp1252")
    path = save(tmp_path, "t.csv", b"text,label\n" + good * 3 + bad + good + bad)
    frame = read_table(path)
    assert frame["text"].tolist() == ["café"] * 3 + [
        "café à Noël",
        "café",
        "café à Noël",
    ]
    assert frame.attrs["source"]["named"] == {"repaired": [4, 6]}


def test_bytes_of_no_encoding_still_read(tmp_path):
    frame = read_table(save(tmp_path, "t.csv", "é,b\n1,2\n".encode() + b"\x81\xe9,3\n"))
    assert frame.iloc[1].tolist() == ["\x81é", "3"]


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("name", ["t.jsonl", "t.json", "t.ndjson"])
def test_json_lines(tmp_path, name, packed):
    lines = [
        '{"text": "a", "label": 1.0, "extra": true}',
        '{"label": null, "text": "b"}',
        "",
        '{"text": "c", "label": "1.0", "more": {"k": ["é"]}}',
        '{"text": "d", "label": NaN, "more": 1e3}',
    ]
    frame = read_table(save(tmp_path, name + packed, "\n".join(lines)))
    assert list(frame.columns) == ["text", "label", "extra", "more"]
    assert frame["label"].fillna("-").tolist() == ["1", "-", "1.0", "-"]
    assert frame["extra"].fillna("-").tolist() == ["true", "-", "-", "-"]
    assert frame["more"].fillna("-").tolist() == ["-", "-", '{"k": ["é"]}', "1e3"]


@pytest.mark.parametrize("indent", [None, 2])
def test_json_list_longer_than_the_window(tmp_path, monkeypatch, indent):
    monkeypatch.setattr("stc_core.data.reading.json_records.WINDOW_CHARS", 50)
    records = [{"text": "word " * n, "label": str(n % 3)} for n in range(1, 30)]
    path = save(tmp_path, "t.json", json.dumps(records, indent=indent))
    assert read_table(path)["text"].tolist() == [r["text"] for r in records]


def test_half_an_emoji_in_json_is_replaced(tmp_path):
    frame = read_table(save(tmp_path, "t.jsonl", '{"text": "a\\ud83d"}\n{"text": "b"}'))
    assert frame["text"].tolist() == ["a\ufffd", "b"]
    assert frame.attrs["source"]["named"] == {"repaired": [1]}


def test_parquet_keeps_types(tmp_path):
    frame = pd.DataFrame(
        {
            "text": TEXTS,
            "n": pd.array([1, None, 3, 2**60, 5], dtype="Int64"),
            "kind": pd.Categorical(["x", "y", "x", None, "y"]),
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    save(tmp_path, "u.parquet.gz", (tmp_path / "t.parquet").read_bytes())
    for name in ("t.parquet", "u.parquet.gz"):
        back = read_table(tmp_path / name)
        assert back["text"].tolist() == TEXTS
        assert back["n"].iloc[3] == 2**60
        assert back["kind"].fillna("-").tolist() == ["x", "y", "x", "-", "y"]


def parquet(path: Path) -> Path:
    pd.DataFrame({"text": list("abcde"), "n": [1, 2, 3, 4, 5]}).to_parquet(path)
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.json", "t.parquet"])
def test_stream_equals_whole(tmp_path, name):
    records = [{"text": t, "n": str(n)} for n, t in enumerate("abcde")]
    path = tmp_path / name
    if name == "t.csv":
        pd.DataFrame(records).to_csv(path, index=False)
    elif name == "t.parquet":
        parquet(path)
    elif name == "t.jsonl":
        save(tmp_path, name, "\n".join(map(json.dumps, records)))
    else:
        save(tmp_path, name, json.dumps(records))
    chunks = list(iter_table(path, chunk_rows=2))
    assert [len(chunk) for chunk in chunks if len(chunk)] == [2, 2, 1]
    whole = read_table(path)
    pd.testing.assert_frame_equal(pd.concat(chunks), whole)
    pd.testing.assert_frame_equal(read_table(path, nrows=3), whole.iloc[:3])


def test_one_line_of_ten_megabytes(tmp_path):
    long = "word " * 2_000_000
    frame = read_table(save(tmp_path, "t.csv", f'text,label\n"{long}",a\nb,c\n'))
    assert frame["text"].str.len().tolist() == [10_000_000, 1]
    assert "no rows" in said(save(tmp_path, "u.csv", long))


def test_quotes_as_plain_characters_in_tsv(tmp_path):
    rows = 'text\tlabel\n"Ha" he said\ta\n"open\tb\nends" here\tc\n'
    frame = read_table(save(tmp_path, "t.tsv", rows))
    assert frame["text"].tolist() == ['"Ha" he said', '"open', 'ends" here']


def test_the_delimiter_is_the_headers(tmp_path):
    rows = "text;label\n" + "one, two, three;a\n" * 5
    assert sniff_dialect(rows, prefer_tab=False)[0] == ";"
    assert sniff_dialect("text\nyes, no\nno, yes\n", prefer_tab=False)[0] == ","
    assert sniff(save(tmp_path, "t.tsv", "text\na|b\nc|d\n")).delimiter == "\t"


def test_a_cell_longer_than_the_sample_keeps_its_quotes_closed(tmp_path):
    long = "x, y\n" * 150_000
    frame = read_table(save(tmp_path, "t.csv", f'text,label\n"{long}",a\nb,c\n'))
    assert frame["text"].tolist() == [long, "b"]
    assert "row 1 (line 2)" in said(save(tmp_path, "u.csv", f'text,label\n"{long}'))


def test_the_separator_line_of_excel(tmp_path):
    frame = read_table(save(tmp_path, "t.csv", "sep=;\na;b;c\n1,5;2;3\n"))
    assert list(frame.columns) == ["a", "b", "c"]
    assert frame.iloc[0].tolist() == ["1,5", "2", "3"]


def test_uneven_rows_are_named(tmp_path):
    rows = "text,label\n" + "ok,a\n" * 20 + "a, b,c\nshort\nfine,b,,\n\nend,a\n"
    path = save(tmp_path, "t.csv", rows)
    frame = read_table(path)
    assert frame.attrs["source"]["named"] == {"long": [21], "short": [22]}
    assert frame.iloc[20].isna().all()
    assert frame.iloc[21:].to_numpy().tolist() == [
        ["short", ""],
        ["fine", "b"],
        ["end", "a"],
    ]
    with pytest.raises(StcError, match="row 21"):
        list(iter_table(path))


def test_mostly_uneven_is_an_error(tmp_path):
    message = said(save(tmp_path, "t.csv", "text,label\n" + "a,b,c\nd,e\n" * 5))
    assert "5 of 10 rows" in message
    assert "row 1, 3, 5, 7, 9" in message


@pytest.mark.parametrize("line", ['"never closed,b\nc,d\ne,f\n', '"never closed,b\n'])
def test_open_quote_names_row_and_line(tmp_path, line):
    message = said(save(tmp_path, "t.csv", "text,label\na,b\n\n" + line + 'x,"y"\n'))
    assert "row 2 (line 4)" in message
    assert '""' in message


def test_swallowed_rows_are_not_taken_silently(tmp_path):
    rows = 'text,label\n"a,1\n"b,2\nc,3\n"d, e",4\n'
    assert "row 1 (line 2)" in said(save(tmp_path, "t.csv", rows))


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("t.csv", b"", "empty file"),
        ("t.csv", b" \n\n", "empty file"),
        ("t.csv", b"text,label\n", "no rows"),
        ("t.csv", bytes(range(256)) * 9, "binary"),
        ("t.csv", b"\x07\x01\x02abc" * 99, "binary"),
        ("t.csv", b"PK\x03\x04rest", "Excel"),
        ("t.csv", b"%PDF-1.7", "PDF"),
        ("t.csv", b"a,label,label\n1,2,3\n", "'label' heads columns 2 and 3"),
        ("t.jsonl", b'{"a": 1}\n{"a": \n', "line 2, character 6"),
        ("t.jsonl", b'{"a": 1}\n[1]\n', "line 2.*list"),
        ("t.json", b'[{"a": 1}, {"a": ]', "record 2"),
        ("t.json", b'["one", "two"]', "record 1.*'one'"),
        ("t.json", b"text,label\na,b\n", "begins with"),
        ("t.json", b"[]", "got no fields"),
        ("t.json", b"[" * 100_000, "nested too deeply"),
        ("t.jsonl", b'{"a":' * 100_000, "nested too deeply"),
        ("t.parquet", b"PAR1 and no more", "damaged"),
        ("t.csv", gzip.compress(table().encode() * 99, mtime=0)[:-20], "gzip"),
        ("t.csv", b"\x1f\x8bnot", "gzip"),
    ],
)
def test_damage_is_told(tmp_path, name, content, match):
    with pytest.raises(StcError, match=match):
        read_table(save(tmp_path, name, content))


def test_paths_that_are_no_file(tmp_path):
    save(tmp_path, "train.csv", "a,b\n")
    assert "Did you mean" in said(tmp_path / "trian.csv")
    assert "folder" in said(tmp_path)


def test_nameless_columns_get_names(tmp_path):
    frame = read_table(save(tmp_path, "t.csv", ", text ,label\n0,a,b\n"))
    assert list(frame.columns) == ["column 1", "text", "label"]


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_a_wide_encoding_that_is_asked_for_needs_no_mark(tmp_path, codec: str):
    path = tmp_path / "wide.csv"
    path.write_bytes("text,label\nżółw,a\nkot,b\n".encode(codec))
    assert read_table(path, encoding=codec[:6])["text"].tolist() == ["żółw", "kot"]


@pytest.mark.parametrize("codec", ["idna", "punycode", "undefined", "rot13"])
def test_a_codec_of_no_table_is_refused(tmp_path, codec: str):
    path = tmp_path / "t.csv"
    path.write_bytes(b"text,label\ncat,a\n")
    with pytest.raises(StcError, match="the name of a text encoding"):
        read_table(path, encoding=codec)
