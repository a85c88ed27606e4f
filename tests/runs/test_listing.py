"""The list of runs, found by words and sorted."""

from pathlib import Path

import pytest

from helpers.app import written_run
from helpers.run_cards import RESULT
from stc_core.runs.listing import (
    matching_runs,
    run_record,
    run_table,
    sort_runs,
)
from stc_core.runs.run_summary import RunSummary, ScoreEstimate


def names(lines: list[RunSummary]) -> list[str]:
    return [one.name for one in lines]


@pytest.fixture
def lines(tmp_path: Path) -> list[RunSummary]:
    first = written_run(tmp_path / "one", "beta").summary(measure=True)
    best = RESULT._replace(accuracy=ScoreEstimate(0.9, 0.8, 1.0), seconds=900.0)
    old = first._replace(name="Alpha", tags=("Paper 1",), result=best, n_bytes=1)
    failed = first._replace(name="gamma", state="failed", result=None, n_bytes=10**9)
    return [
        first._replace(created="2026-01-02"),
        old._replace(created="2026-01-01"),
        failed._replace(created="2026-01-03"),
    ]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", ["beta", "Alpha", "gamma"]),
        ("  ALPHA ", ["Alpha"]),
        ("paper", ["Alpha"]),
        ("failed csv", ["gamma"]),
        ("minilm stc", ["beta", "Alpha", "gamma"]),
        ("alpha failed", []),
    ],
)
def test_every_word_must_be_somewhere(lines: list[RunSummary], words, found):
    assert names(matching_runs(lines, words)) == found


@pytest.mark.parametrize(
    ("by", "found"),
    [
        ("newest", ["gamma", "beta", "Alpha"]),
        ("name", ["Alpha", "beta", "gamma"]),
        ("accuracy", ["Alpha", "beta", "gamma"]),
        ("time", ["Alpha", "beta", "gamma"]),
        ("disk", ["gamma", "beta", "Alpha"]),
    ],
)
def test_what_is_not_known_is_last(lines: list[RunSummary], by, found):
    assert names(sort_runs(lines, by)) == found


def test_the_table_has_a_row_for_each_line(lines: list[RunSummary]):
    found = run_table(
        [*lines, lines[0]._replace(created="2026-03-29T02:30:00.123+02:00")]
    )
    assert found["Name"].tolist() == ["beta", "Alpha", "gamma", "beta"]
    assert found["Accuracy"].tolist()[:2] == pytest.approx([87.4, 90.0])
    assert found["Accuracy"].isna().tolist() == [False, False, True, False]
    assert str(found["Started"].iloc[3]) == "2026-03-29 02:30:00"
    assert found["Tags"].tolist()[1] == ["Paper 1"]


def test_a_run_without_a_date_has_none(lines: list[RunSummary]):
    found = run_table([lines[0]._replace(created="")])
    assert found["Started"].isna().tolist() == [True] and run_table([]).empty


def test_the_record_of_a_run_keeps_its_fields(tmp_path: Path):
    done = written_run(tmp_path / "one", "One").summary()
    assert run_record(done._replace(tags=("paper",))) == {
        "run": "one",
        "name": "One",
        "state": "done",
        "created": done.created,
        "accuracy": 0.874,
        "macro_f1": 0.862,
        "neurons": 412,
        "seconds": 27.4,
        "folder": str(tmp_path / "one"),
        "tags": ["paper"],
    }
    failed = run_record(done._replace(state="failed", result=None))
    assert [k for k, v in failed.items() if v is None] == [
        "accuracy",
        "macro_f1",
        "neurons",
        "seconds",
    ]
