"""The facts of a run in one record, whatever its state, and in words."""

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.app import METRICS, written_run
from stc_core.config import DataConfig, RunConfig, ShrinkConfig, TrainConfig
from stc_core.files import folder_bytes
from stc_core.runs.annotations import rename, tag
from stc_core.runs.run import Run
from stc_core.runs.run_summary import (
    RunResult,
    ScoreEstimate,
    result_facts,
    result_of,
    run_title,
    settings_line,
)
from stc_core.runs.writer import RunWriter

RESULT = RunResult(
    accuracy=ScoreEstimate(0.874, 0.851, 0.893),
    macro_f1=ScoreEstimate(0.862, 0.84, 0.89),
    ece=0.031,
    n_test=1090,
    neurons=412,
    neurons_total=32256,
    layers=4,
    layers_total=6,
    flops_per_token=15e6,
    flops_per_token_total=20e6,
    parameters=12e6,
    seconds=27.4,
)


def test_a_finished_run_has_all(tmp_path: Path):
    run = written_run(tmp_path / "one", "One")
    tag(run.folder, ["paper"])
    found = run.summary()
    assert (found.run, found.folder) == ("one", tmp_path / "one")
    assert (found.name, found.state, found.tags) == ("One", "done", ("paper",))
    assert (found.recipe, found.method, found.seed) == ("stc", "stc", 0)
    assert (found.backbone, found.data) == ("all-MiniLM-L6-v2", "a.csv")
    assert found.labels == () and found.created == run.created
    assert found.result == RESULT and found.n_bytes is None


def test_the_size_is_measured_only_on_demand(tmp_path: Path):
    run = written_run(tmp_path / "one", "One")
    size = folder_bytes(run.folder)
    assert run.summary(measure=True) == run.summary()._replace(n_bytes=size)
    assert size > 500


@pytest.mark.parametrize("state", ["running", "failed", "cancelled"])
def test_an_unfinished_run_has_no_result(tmp_path: Path, state: str):
    run = written_run(tmp_path / "one", "One", state=state)
    (run.folder / "metrics.json").write_text(json.dumps(METRICS))
    found = run.summary()
    assert (found.state, found.method, found.result) == (state, "stc", None)
    assert run_title(found) == f"{state} · One"


def test_damaged_settings_leave_their_facts_empty(tmp_path: Path):
    (tmp_path / "config.json").write_text("{")
    rename(tmp_path, "later name")
    found = Run(tmp_path).summary()
    assert (found.state, found.name) == ("failed", "later name")
    assert found.recipe == found.method == found.backbone == found.data == ""
    assert found.created == "" and found.seed is None and settings_line(found) == ""


@pytest.mark.parametrize("name", ["metrics.json", "status.json"])
def test_a_run_with_a_damaged_file_has_no_result(tmp_path: Path, name: str):
    run = written_run(tmp_path / "one", "One")
    (run.folder / name).write_text("{")
    assert run.summary().name == "One" and run.summary().result is None


@pytest.mark.parametrize(
    ("train", "shrink", "method", "backbone"),
    [
        ({"preset": "spin"}, None, "spin", "all-MiniLM-L6-v2"),
        ({"recipe": "attention", "backbone": "a/b"}, None, "attention", "a/b"),
        ({"recipe": "hierarchy", "preset": "spin"}, None, "hierarchy", None),
        ({"backbone": "/m/gpt2"}, None, "stc", "gpt2"),
        ({"backbone": "/r/tuned/backbone"}, None, "stc", "tuned/backbone"),
        ({}, ShrinkConfig(parent="p"), "shrunk", "all-MiniLM-L6-v2"),
    ],
)
def test_method_and_model_are_short(tmp_path, train, shrink, method, backbone):
    data = DataConfig(path="/x/y.csv", labels=("topic", "sub"))
    config = RunConfig(data=data, train=TrainConfig(**train), shrink=shrink)
    found = RunWriter(tmp_path / "r", config).finish().summary()
    backbone = backbone or "all-MiniLM-L6-v2"
    assert (found.method, found.backbone) == (method, backbone)
    assert found.recipe == train.get("recipe", "stc")
    assert settings_line(found) == f"{method} · {backbone} · y.csv · topic › sub"


def test_the_result_is_that_of_the_metrics(tmp_path: Path):
    assert result_of(written_run(tmp_path / "one", "One").metrics) == RESULT


def test_the_share_of_compute_is_at_most_one():
    assert RESULT.compute_share == 0.75
    assert RESULT._replace(flops_per_token=30e6).compute_share == 1
    assert RESULT._replace(flops_per_token_total=0).compute_share == 1


def test_the_result_in_words():
    assert {name: tuple(fact) for name, fact in result_facts(RESULT).items()} == {
        "accuracy": ("Test accuracy", "87.4 %", "95 %: 85.1 to 89.3 %, 1,090 texts"),
        "macro_f1": ("Macro-F1", "86.2 %", "95 %: 84.0 to 89.0 %"),
        "ece": ("ECE", "3.1 %", "calibration error on test"),
        "n_test": ("Test texts", "1,090", "not used in training"),
        "neurons": ("Neurons kept", "412", "of 32,256"),
        "layers": ("Layers read", "4", "of 6"),
        "compute": ("Compute saved", "25.0 %", "of the FLOPs per token"),
        "seconds": ("Training took", "27 s", "from start to report"),
    }
    assert result_facts(RESULT)["neurons"].line == "412 of 32,256"


def test_a_title_begins_with_the_score(tmp_path: Path):
    assert run_title(written_run(tmp_path / "r", "One").summary()) == "87.4 % · One"


def test_a_score_without_an_interval_says_why():
    metrics: Any = dict(METRICS)
    metrics["test"] = METRICS["test"] | {
        "macro_f1_interval": None,
        "macro_f1_reason": "3 of 77 classes have fewer than 3 texts",
    }
    found = result_of(metrics)
    assert (found.macro_f1.low, found.macro_f1.high) == (None, None)
    note = result_facts(found)["macro_f1"].note
    assert note == "no interval: 3 of 77 classes have fewer than 3 texts"
    del metrics["test"]["macro_f1_reason"]
    assert result_facts(result_of(metrics))["macro_f1"].note == "no interval"
