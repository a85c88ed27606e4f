"""The commands that adapt a backbone, as they are typed."""

import json
from pathlib import Path

import numpy as np
import pytest

from helpers.command import Stc
from stc_core.backbone.backbone import Backbone
from stc_core.config import DataConfig
from stc_core.data.corpus import labelled_texts
from stc_core.data.table import read_table
from stc_core.probes.variability import measure_variability


@pytest.fixture(scope="module")
def few(messages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 messages, 6 of each topic."""
    path = tmp_path_factory.mktemp("few") / "few.csv"
    read_table(messages).groupby("topic").head(6).to_csv(path, index=False)
    return path


def test_variability_prints_exactly_nu_and_the_best_layer(stc: Stc, few: Path):
    columns = ("--text", "text", "--label", "topic")
    told = stc("variability", few, *columns, "--json")
    assert told.code == 0, told.err
    said = json.loads(told.out)
    assert list(said) == ["nu", "best_layer"]
    texts, codes = labelled_texts(DataConfig(path=str(few), labels=("topic",)))
    assert len(texts) == 60
    assert np.bincount(codes).tolist() == [6] * 10
    known = measure_variability(Backbone.load(), texts, codes)
    assert said["nu"] == pytest.approx(known.nu, rel=1e-6)
    assert said["best_layer"] == known.best_layer == int(np.argmin(said["nu"]))


def test_variability_as_a_table(stc: Stc, few: Path):
    told = stc("variability", few, "--label", "topic")
    assert told.code == 0, told.err
    out = told.out
    assert "embeddings" in out
    assert "block 6" in out


def test_variability_of_one_class_is_refused(stc: Stc, tmp_path: Path):
    path = tmp_path / "one.csv"
    path.write_text("text,label\ngood,a\nbad,a\nfine,a\n")
    told = stc("variability", path, "--label", "label")
    assert told.code == 2, told.err
    assert "Error" in told.err


def test_a_text_is_explained_by_gradients_too(stc: Stc, tuned_folder: Path):
    asked = ("explain", tuned_folder, "--text", "my parcel is late", "--gradients")
    told = stc(*asked, "--json")
    assert told.code == 0, told.err
    found = json.loads(told.out)
    label = found["label"]
    assert found["gradients"]["label"] == label
    tokens = found["gradients"]["tokens"]
    total = sum(token["contribution"][label] for token in tokens)
    gained = found["gradients"]["logit"] - found["gradients"]["start"]
    assert total == pytest.approx(gained + found["gradients"]["error"], abs=1e-3)
    told = stc(*asked)
    assert told.code == 0, told.err
    assert "Integrated gradients" in told.out


def test_a_tuned_run_predicts_and_reports(stc: Stc, tuned_folder: Path, tmp_path: Path):
    lines = tmp_path / "lines.csv"
    lines.write_text("text\nwhere is my parcel\nplease refund me\n")
    out = tmp_path / "out.csv"
    told = stc("predict", tuned_folder, lines, "--out", out)
    assert told.code == 0, told.err
    assert out.read_text().count("\n") == 3
    told = stc("report", tuned_folder)
    assert told.code == 0, told.err
    said = told.out
    assert "Same layer, not tuned" in said
    assert "Sparse neurons, not tuned" in said


def test_a_wrong_tuning_is_refused_by_its_option(stc: Stc, messages: Path):
    columns = ("--text", "text", "--label", "topic", "--recipe", "variability")
    told = stc("train", messages, *columns, "--tune-blocks", 0)
    assert told.code == 2, told.err
    assert "--tune-blocks" in told.err


def test_what_is_done_cannot_be_resumed(stc: Stc, tuned_folder: Path):
    told = stc("resume", tuned_folder)
    assert told.code == 2, told.err
    assert "a done run" in told.err
