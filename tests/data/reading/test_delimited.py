"""Delimited text: rows in are rows accounted for, whatever was joined or cut."""

import gzip
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stc_core.classifiers.predict_table import predict_file
from stc_core.config import DataConfig
from stc_core.data.corpus import inspect_corpus
from stc_core.data.reading.dialect import sniff_dialect
from stc_core.data.table import iter_table, read_table
from stc_core.errors import StcError

ROWS = [(f"text {n}", "ab"[n % 2]) for n in range(6)]
TABLE = "text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS)


def save(folder: Path, content: str | bytes, name: str = "t.csv") -> Path:
    raw = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(raw)
    return folder / name


def pairs(path: Path) -> list[tuple[str, str]]:
    frame = read_table(path)
    return list(frame[["text", "label"]].itertuples(index=False, name=None))


@pytest.mark.parametrize(
    "content",
    [
        TABLE.replace("\n", "\r"),
        TABLE.replace("\n", "\r\n"),
        TABLE.replace("a\n", "a\r\n").replace("b\n", "b\r"),
        TABLE.replace("\n", "\n\n\n"),
        TABLE.rstrip(),
        f"\n  \n{TABLE}",
        gzip.compress(TABLE[:40].encode(), mtime=0)
        + gzip.compress(TABLE[40:].encode(), mtime=0),
    ],
)
def test_no_row_depends_on_how_lines_end(tmp_path, content):
    assert pairs(save(tmp_path, content)) == ROWS


def test_garbage_behind_a_packed_table_is_told(tmp_path):
    path = save(
        tmp_path, gzip.compress(TABLE.encode(), mtime=0) + b"more of it", "t.csv.gz"
    )
    with pytest.raises(StcError, match="gzip archive is damaged"):
        read_table(path)


def test_a_zero_byte_is_told_by_its_line(tmp_path):
    with pytest.raises(StcError, match=r"line 3: .*1 zero byte .*tr -d"):
        read_table(save(tmp_path, "text,label\n" + "a,b\nx\0y,b\n" + "c,d\n" * 99))


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_header_in_the_middle_is_told_and_no_data(tmp_path, mark):
    path = save(tmp_path, f"{mark}{TABLE}" * 8)
    corpus = inspect_corpus(DataConfig(path=str(path)))
    found = {one.kind: one for one in corpus.report.findings}
    again = tuple(range(7, 56, 7))
    assert found["header"].rows == again and "repeat the header" in str(found["header"])
    assert corpus.report.n_rows == 55 and corpus.report.n_used == 48
    assert corpus.classes == ("a", "b")
    chunk = next(iter_table(path))
    assert chunk["label"].iloc[6] == "label"  # what is labelled loses no row


def test_a_header_in_another_order_is_an_error(tmp_path):
    path = save(tmp_path, TABLE + "label,text\na,text 9\n")
    with pytest.raises(StcError, match=r"row 7: .*in this order.*'label', 'text'"):
        read_table(path)


def test_an_empty_line_of_one_column_is_a_row(tmp_path):
    path = save(tmp_path, "text\none\n\n\nfour\n\n\n")
    assert read_table(path)["text"].tolist() == ["one", "", "", "four"]


def test_a_quote_with_a_backslash_is_a_quote(tmp_path):
    quote = r"\""
    rows = [
        f'"He said {quote}hi, you{quote} to me",a',
        '"C:\\\\temp\\\\",b',
        f'"{quote}",a',
        '"plain, row",b',
    ]
    path = save(tmp_path, "text,label\n" + "\n".join(rows * 2) + "\n")
    assert [text for text, _ in pairs(path)][:4] == [
        'He said "hi, you" to me',
        "C:\\temp\\",
        '"',
        "plain, row",
    ]


@pytest.mark.parametrize(
    "text",
    [
        'text,label\n"C:\\temp\\",a\n"ends in \\",b\n',
        'text,label\n"say ""hi"" and \\n",a\n"b",c\n',
        'text,label\n5\\" screen,a\nb,c\n',
        'text\tlabel\na \\"quoted\\" word\tb\n',
    ],
)
def test_other_backslashes_are_plain(text):
    assert not sniff_dialect(text, prefer_tab=False).escaped


def test_a_lone_backslash_quote_is_told(tmp_path):
    usual = f'"{"x" * 2000} ""quoted""",a\n' * 300
    path = save(tmp_path, f'text,label\n{usual}"an \\"odd\\" one",b\n"last",b\n')
    frame = read_table(path)
    assert frame.attrs["source"]["named"] == {"backslash": [301]}
    found = inspect_corpus(DataConfig(path=str(path))).report.findings
    assert any(one.kind == "backslash" and one.rows == (301,) for one in found)


class Same:
    classes_ = np.array(["a"])

    def predict_proba(self, texts) -> np.ndarray:
        return np.ones((len(texts), 1))


PIECES = [
    "a",
    " ",
    "é",
    '"',
    ",",
    ";",
    "\n",
    "\r\n",
    "\\",
    "\t",
    "'",
    "label",
    "\u2028",
]


@pytest.mark.parametrize("seed", range(8))
def test_rows_in_are_rows_out_as_pandas_counts_them(tmp_path, seed):
    rng = random.Random(seed)
    texts = ["".join(rng.choices(PIECES, k=rng.randint(1, 12))) for _ in range(60)]
    wanted = pd.DataFrame({"text": texts, "label": rng.choices("ab", k=60)})
    path = tmp_path / "t.csv"
    wanted.to_csv(path, index=False, encoding="utf-8")
    frame = read_table(path)
    pd.testing.assert_frame_equal(frame, wanted, check_dtype=False)
    assert len(pd.read_csv(path, keep_default_na=False)) == len(frame)
    out = tmp_path / "out.csv"
    labelled = predict_file(Same(), path, out, trained="text", keep_formulas=True)
    assert labelled.rows == 60
    assert read_table(out)["text"].tolist() == texts
    report = inspect_corpus(DataConfig(path=str(path), labels=("label",))).report
    lost = {row for one in report.findings for row in one.rows if "text" in one.kind}
    assert report.n_used + len(lost) == report.n_rows == 60
