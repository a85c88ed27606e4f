"""Predictions for a table: every row and column kept, whole files or none."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stc_core.classifiers.labelling import table_chunks, table_writer
from stc_core.classifiers.labelling.text_labels import added_columns, annotate
from stc_core.classifiers.predict_table import predict_file
from stc_core.data.table import read_table
from stc_core.errors import StcError


class ByLength:
    """A classifier whose right answer is plain to see: short or long."""

    classes_ = np.array(["long", "short"])

    def __init__(self) -> None:
        self.seen = 0

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        assert all(text.strip() for text in texts)
        self.seen += len(texts)
        long = np.array([min(len(text), 10) / 10 for text in texts])
        return np.stack([long, 1 - long], axis=1)


TEXTS = ["abcdefghij", "ab", "  ", "", 'é, "quoted"\nnew line', "x"]


def source(folder: Path, name: str = "in.csv") -> Path:
    frame = pd.DataFrame({"n": [f"{i:03d}" for i in range(6)], "text": TEXTS})
    frame.to_csv(folder / name, index=False)
    return folder / name


def test_labels_and_probabilities_stand_beside_the_row():
    frame = pd.DataFrame({"text": [*TEXTS, None], "p:long": 1}, index=range(5, 12))
    out = annotate(ByLength(), frame, text="text")
    pd.testing.assert_frame_equal(out.iloc[:, :2], frame)
    assert list(out.columns[2:]) == [
        "predicted_label",
        "probability",
        "p:long_2",
        "p:short",
    ]
    assert out["predicted_label"].fillna("none").tolist() == [
        "long", "short", "none", "none", "long", "short", "none",
    ]  # fmt: skip
    np.testing.assert_allclose(out["p:long_2"].iloc[[0, 1, 5]], [1, 0.2, 0.1])
    assert out["p:short"].isna().tolist() == [
        False,
        False,
        True,
        True,
        False,
        False,
        True,
    ]


def test_texts_that_are_numbers_are_read_as_text():
    out = annotate(ByLength(), pd.DataFrame({"t": [1, 20000000000]}), text="t")
    assert out["predicted_label"].tolist() == ["short", "long"]


def test_an_empty_chunk_has_the_columns_too():
    out = annotate(
        ByLength(), pd.DataFrame({"text": pd.Series([], dtype="str")}), text="text"
    )
    assert list(out.columns) == [
        "text",
        "predicted_label",
        "probability",
        "p:long",
        "p:short",
    ]


def test_a_taken_name_gets_the_first_free_suffix():
    taken = ["predicted_label", "predicted_label_2", "x"]
    assert added_columns(taken, ["a", "a_2"]) == [
        "predicted_label_3",
        "probability",
        "p:a",
        "p:a_2",
    ]


@pytest.mark.parametrize("suffix", table_writer._SUFFIXES)
@pytest.mark.parametrize("chunk_rows", [1, 4, 100])
def test_every_format_reads_back_the_same(tmp_path, monkeypatch, suffix, chunk_rows):
    monkeypatch.setattr(table_chunks, "SHARD_ROWS", chunk_rows)
    classifier = ByLength()
    out = tmp_path / "sub" / f"out{suffix}"
    labelled = predict_file(classifier, source(tmp_path), out, trained="text")
    assert labelled[:2] == (6, 2) and classifier.seen == 4
    assert labelled.said == "4 of 6 rows labelled, the others have no text"
    back = read_table(out)
    assert back["n"].tolist() == [f"{i:03d}" for i in range(6)]
    assert back["text"].fillna("").tolist() == TEXTS
    assert list(back.columns) == [
        "n",
        "text",
        "predicted_label",
        "probability",
        "p:long",
        "p:short",
    ]
    labels = back["predicted_label"].fillna("").replace("None", "").tolist()
    assert labels == ["long", "short", "", "", "long", "short"]
    shares = [float(back["p:long"].iloc[row]) for row in (0, 1, 5)]
    np.testing.assert_allclose(shares, [1, 0.2, 0.1])
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_csv_to_standard_output(tmp_path: Path, capsys):
    predict_file(ByLength(), source(tmp_path), "-", trained="text")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "n,text,predicted_label,probability,p:long,p:short"
    assert lines[1] == "000,abcdefghij,long,1.0,1.0,0.0"


def test_jsonl_keeps_letters_and_says_null(tmp_path: Path):
    predict_file(ByLength(), source(tmp_path), tmp_path / "o.jsonl", trained="text")
    lines = (tmp_path / "o.jsonl").read_text("utf-8").splitlines()
    assert "é" in lines[4]
    assert json.loads(lines[3])["predicted_label"] is None


def test_parquet_keeps_types_even_when_a_chunk_is_empty_of_them(tmp_path, monkeypatch):
    monkeypatch.setattr(table_chunks, "SHARD_ROWS", 2)
    frame = pd.DataFrame({"text": ["", None, "abc", "d"], "x": [1, 2, 3, 4]})
    frame.to_parquet(tmp_path / "in.parquet")
    out = tmp_path / "out.parquet"
    predict_file(ByLength(), tmp_path / "in.parquet", out, trained="text")
    back = pd.read_parquet(out)
    assert back["x"].dtype == np.int64
    assert back["predicted_label"].isna().tolist() == [True, True, False, False]


def test_the_text_column_is_the_given_or_the_trained_or_the_only_one(tmp_path: Path):
    (tmp_path / "one.csv").write_text("message\nhello\n")
    out = tmp_path / "o.csv"
    assert predict_file(ByLength(), tmp_path / "one.csv", out, trained="text").said == (
        "1 rows labelled"
    )
    with pytest.raises(StcError, match=r"text column 'mesage'.*Did you mean 'message'"):
        predict_file(
            ByLength(), tmp_path / "one.csv", out, trained="text", text="mesage"
        )
    with pytest.raises(StcError, match="text column 'body'"):
        predict_file(ByLength(), source(tmp_path), out, trained="body")


def test_what_fails_leaves_the_earlier_file_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(table_chunks, "SHARD_ROWS", 2)
    out = tmp_path / "out" / "o.csv"
    out.parent.mkdir()
    out.write_text("earlier")
    bad = source(tmp_path)
    bad.write_text(bad.read_text() + "6,too,many\n")
    with pytest.raises(StcError):
        predict_file(ByLength(), bad, out, trained="text")
    assert out.read_text() == "earlier" and len(list(out.parent.iterdir())) == 1


@pytest.mark.parametrize("name", ["o.xlsx", "o", "o.pkl.gz"])
def test_an_unknown_suffix_is_refused_before_any_work(tmp_path: Path, name: str):
    classifier = ByLength()
    with pytest.raises(StcError, match=r"\.parquet"):
        predict_file(classifier, source(tmp_path), tmp_path / name, trained="text")
    assert classifier.seen == 0


def test_the_input_is_never_overwritten(tmp_path: Path):
    table = source(tmp_path)
    before = table.read_bytes()
    with pytest.raises(StcError, match="a file other than"):
        predict_file(ByLength(), table, tmp_path / "." / table.name, trained="text")
    assert table.read_bytes() == before


def test_gz_is_gz(tmp_path: Path):
    predict_file(ByLength(), source(tmp_path), tmp_path / "o.csv.gz", trained="text")
    with gzip.open(tmp_path / "o.csv.gz", "rt", encoding="utf-8") as file:
        assert file.readline().startswith("n,text,")


def test_progress_counts_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(table_chunks, "SHARD_ROWS", 4)
    seen: list[tuple[int, int]] = []
    predict_file(
        ByLength(),
        source(tmp_path),
        tmp_path / "o.csv",
        trained="text",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(4, 0), (6, 0)]


def test_jsonl_keeps_numbers_and_dates_of_the_table(tmp_path: Path):
    small, long = 1.2345678901234e-12, 0.12345678901234567
    frame = pd.DataFrame(
        {
            "text": ["abc", "d"],
            "number": [small, long],
            "when": pd.to_datetime(["2024-01-01 03:04", None]),
            "count": pd.array([7, None], dtype="Int64"),
        }
    )
    frame.to_parquet(tmp_path / "in.parquet")
    out = tmp_path / "o.jsonl"
    predict_file(ByLength(), tmp_path / "in.parquet", out, trained="text")
    one, two = map(json.loads, out.read_text("utf-8").splitlines())
    assert (one["number"], two["number"]) == (small, long)
    assert (one["when"], two["when"]) == ("2024-01-01T03:04:00", None)
    assert (one["count"], two["count"]) == (7, None)


class InThirds:
    """A classifier whose probabilities have many decimals."""

    classes_ = np.array(["a", "b", "c"])

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        return np.tile([1 / 6, 2 / 3, 1 / 6], (len(texts), 1))


@pytest.mark.parametrize(
    ("suffix", "expected"), [("csv", 0.6667), ("jsonl", 0.6667), ("parquet", 2 / 3)]
)
def test_text_files_have_four_decimals(tmp_path: Path, suffix: str, expected: float):
    (tmp_path / "in.csv").write_text("text,p:x\nhello,0.123456789\n")
    out = tmp_path / f"out.{suffix}"
    predict_file(InThirds(), tmp_path / "in.csv", out, trained="text")
    back = read_table(out).iloc[0]
    assert float(back["probability"]) == float(back["p:b"]) == expected
    assert back["p:x"] == "0.123456789"
    assert list(back.index) == [
        *("text", "p:x", "predicted_label", "probability", "p:a", "p:b", "p:c")
    ]


def test_a_text_that_breaks_the_tokenizer_costs_its_row(tmp_path):
    class Reader:
        max_length = 8

        def tokenize(self, texts: Sequence[str]) -> None:
            if "x" in texts:
                raise TypeError("no token for x")

    class Breaking(ByLength):
        backbone_ = Reader()

        def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
            self.backbone_.tokenize(texts)
            return super().predict_proba(texts)

    told: list[str] = []
    out = tmp_path / "out.jsonl"
    labelled = predict_file(
        Breaking(), source(tmp_path), out, trained="text", tell=told.append
    )
    assert labelled[:2] == (6, 2) and labelled.broken == 1
    assert labelled.said.startswith("3 of 6 rows labelled, the others have no text")
    assert told == ["warning: row 6 has no label: no token for x"]
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["predicted_label"] for row in rows] == [
        *("long", "short", None, None, "long", None)
    ]
