"""The report: its JSON, its sentences, and the frames of the Data page."""

import pandas as pd
import pytest

from stc_core.data.columns import Columns
from stc_core.data.findings import Report, add_truncated, finding
from stc_core.data.statistics import (
    balance_of,
    class_balance,
    length_histogram,
    text_lengths,
)
from stc_core.frames import series


def report() -> Report:
    return Report(
        n_rows=9,
        n_used=8,
        columns=Columns("text", ("coarse", "fine"), None, "id"),
        classes={"a": {"train": 3, "validation": 1, "test": 2}},
        source={"name": "t.csv", "format": "csv", "encoding": "utf-8", "rows": 9},
        findings=(
            finding("empty_text", "warning", "No text on {rows}.", rows=[4]),
            finding("one_class", "error", "One class."),
        ),
    )


def test_json_round_trip():
    back = Report.from_json(report().to_json())
    assert back == report()
    assert back.columns.labels == ("coarse", "fine")
    assert [f.kind for f in back.errors] == ["one_class"]


@pytest.mark.parametrize(
    ("rows", "file", "words"),
    [
        ([7], "data", "row 7"),
        ([7], "test", "row 7 of the test file"),
        ([2, 7], "data", "2 rows (2, 7)"),
        (range(1, 2001), "test", "2,000 rows of the test file (1, 2, 3, 4, 5, ...)"),
    ],
)
def test_findings_name_rows(rows, file, words):
    found = finding("k", "info", "See {rows}.", rows=rows, file=file)
    assert found.message == f"See {words}."
    assert found.count == len(rows)
    assert found.rows == tuple(rows)[:100]


def test_truncated_is_said_once():
    once = add_truncated(report(), 1, 100, 256)
    assert once.findings[-1].severity == "info"
    assert "1 of 100 texts (1.0 %)" in once.findings[-1].message
    twice = add_truncated(once, 30, 100, 128)
    assert [f.kind for f in twice.findings].count("truncated") == 1
    assert twice.findings[-1].severity == "warning"
    assert twice.findings[-1].count == 30
    assert add_truncated(twice, 0, 100, 512) == report()


def corpus() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "text": ["one", "two words", "and three words", "x " * 500],
            "label": ["b", "a", "b", "b"],
            "split": ["train", "train", "test", "train"],
        }
    )


def test_the_balance_is_that_of_the_counts():
    frame = corpus()
    counts = {
        str(label): part["split"].value_counts().to_dict()
        for label, part in frame.groupby("label")
    }
    expected = class_balance(frame)
    pd.testing.assert_frame_equal(balance_of(counts), expected, check_dtype=False)


def test_class_balance_has_every_pair():
    rows = class_balance(corpus())
    assert rows.to_numpy().tolist() == [
        ["b", "train", 2],
        ["b", "validation", 0],
        ["b", "test", 1],
        ["a", "train", 1],
        ["a", "validation", 0],
        ["a", "test", 0],
    ]


def test_text_lengths():
    lengths = text_lengths(series(corpus(), "text"))
    assert lengths["words"].tolist() == [1, 2, 3, 500]
    assert lengths["characters"].tolist() == [3, 9, 15, 1000]


@pytest.mark.parametrize("unit", ["words", "characters"])
@pytest.mark.parametrize("bins", [1, 3, 40])
def test_histogram_holds_every_text(unit, bins):
    bars = length_histogram(corpus(), unit=unit, bins=bins)
    lengths = series(text_lengths(series(corpus(), "text")), unit).tolist()
    splits = corpus()["split"].tolist()
    for start, end, split, rows in bars.itertuples(index=False):
        inside = [start <= n < end for n in lengths]
        of = [s == split for s in splits]
        assert rows == sum(i and o for i, o in zip(inside, of, strict=True))
    assert sum(bars["rows"]) == len(lengths)
    assert sum(length_histogram(corpus().iloc[:0])["rows"]) == 0


def test_histogram_ends_in_one_wide_bin():
    frame = pd.DataFrame({"text": ["a b c"] * 300 + ["x " * 9000], "split": "train"})
    bars = length_histogram(frame, bins=4)
    assert max(bars["end"]) == 9001
    assert max(bars["start"]) <= 3


def test_a_share_of_a_sample_says_so_and_counts_for_all():
    found = add_truncated(report(), 500, 2000, 256, sampled_of=9000).findings[-1]
    assert "About 25.0 % of the texts (500 of a sample of 2,000)" in found.message
    assert found.count == 2250 and found.severity == "warning"
    all_of = add_truncated(report(), 5, 9000, 256, sampled_of=9000).findings[-1]
    assert "5 of 9,000 texts (0.1 %) are longer" in all_of.message
    assert add_truncated(report(), 0, 2000, 256, sampled_of=9000) == report()
