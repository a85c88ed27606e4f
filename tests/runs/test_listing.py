"""A line for each run, whatever its state, found by words and sorted."""

from pathlib import Path

import pytest

from helpers.app import written_run
from stc_core.config import DataConfig, RunConfig, ShrinkConfig, TrainConfig
from stc_core.files import folder_bytes
from stc_core.runs.annotations import tag
from stc_core.runs.listing import (
    ListedRun,
    listed_run,
    matching_runs,
    run_table,
    sort_runs,
)
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter


def names(lines: list[ListedRun]) -> list[str]:
    return [one.name for one in lines]


def test_a_finished_run_has_all(tmp_path: Path):
    run = written_run(tmp_path / "one", "One")
    tag(run.folder, ["paper"])
    found = listed_run(run)
    assert found[:5] == ("one", "One", "done", ("paper",), "stc")
    assert (found.backbone, found.data, found.labels) == (
        "all-MiniLM-L6-v2",
        "a.csv",
        "",
    )
    assert (found.accuracy, found.n, found.neurons, found.layers) == (
        0.874,
        1090,
        412,
        4,
    )
    assert found.seconds == 27.4 and found.started == run.created
    assert found.n_bytes == folder_bytes(run.folder) > 500


@pytest.mark.parametrize("state", ["running", "failed", "cancelled"])
def test_an_unfinished_run_has_no_results(tmp_path: Path, state: str):
    found = listed_run(written_run(tmp_path / "one", "One", state=state))
    assert found.state == state and found.recipe == "stc"
    assert found.accuracy is found.n is found.neurons is found.seconds is None


def test_a_damaged_run_has_a_line(tmp_path: Path):
    (tmp_path / "config.json").write_text("{")
    found = listed_run(Run(tmp_path))
    assert found.state == "failed" and found.name == tmp_path.name
    assert found.data == found.started == ""


@pytest.mark.parametrize("name", ["metrics.json", "status.json"])
def test_a_run_with_a_damaged_file_has_a_line(tmp_path: Path, name: str):
    run = written_run(tmp_path / "one", "One")
    (run.folder / name).write_text("{")
    found = listed_run(run)
    assert found.name == "One" and found.accuracy is None
    assert run.summary()["accuracy"] is None


@pytest.mark.parametrize(
    ("train", "shrink", "said"),
    [
        ({"preset": "spin"}, None, ("spin", "all-MiniLM-L6-v2")),
        ({"recipe": "attention", "backbone": "a/b"}, None, ("attention", "a/b")),
        ({"backbone": "/m/gpt2"}, None, ("stc", "gpt2")),
        ({"backbone": "/r/tuned/backbone"}, None, ("stc", "tuned/backbone")),
        ({}, ShrinkConfig(parent="p"), ("shrunk", "all-MiniLM-L6-v2")),
    ],
)
def test_recipe_and_model_are_short(tmp_path: Path, train, shrink, said):
    data = DataConfig(path="/x/y.csv", labels=("topic", "sub"))
    config = RunConfig(data=data, train=TrainConfig(**train), shrink=shrink)
    found = listed_run(RunWriter(tmp_path, config).finish())
    assert (found.recipe, found.backbone) == said
    assert (found.data, found.labels) == ("y.csv", "topic › sub")


@pytest.fixture
def lines(tmp_path: Path) -> list[ListedRun]:
    first = listed_run(written_run(tmp_path / "one", "beta"))
    old = first._replace(name="Alpha", tags=("Paper 1",), accuracy=0.9, n_bytes=1)
    failed = first._replace(
        name="gamma", state="failed", accuracy=None, seconds=None, n_bytes=10**9
    )
    return [
        first._replace(started="2026-01-02"),
        old._replace(started="2026-01-01", seconds=900.0),
        failed._replace(started="2026-01-03"),
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
def test_every_word_must_be_somewhere(lines: list[ListedRun], words, found):
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
def test_what_is_not_known_is_last(lines: list[ListedRun], by, found):
    assert names(sort_runs(lines, by)) == found


def test_the_table_has_a_row_for_each_line(lines: list[ListedRun]):
    found = run_table(
        [*lines, lines[0]._replace(started="2026-03-29T02:30:00.123+02:00")]
    )
    assert found["Name"].tolist() == ["beta", "Alpha", "gamma", "beta"]
    assert found["Accuracy"].tolist()[:2] == pytest.approx([87.4, 90.0])
    assert found["Accuracy"].isna().tolist() == [False, False, True, False]
    assert str(found["Started"].iloc[3]) == "2026-03-29 02:30:00"
    assert found["Tags"].tolist()[1] == ["Paper 1"]


def test_a_run_without_a_date_has_none(lines: list[ListedRun]):
    found = run_table([lines[0]._replace(started="")])
    assert found["Started"].isna().tolist() == [True] and run_table([]).empty
