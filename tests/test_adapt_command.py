"""The commands that adapt a backbone, as they are typed."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from stc_core import cli
from stc_core.backbone import Backbone
from stc_core.config import DataConfig
from stc_core.data import labelled_texts
from stc_core.variability import measure


def stc(monkeypatch, *arguments: object) -> int:
    """The exit code of a command in this process."""
    monkeypatch.setattr(sys, "argv", ["stc", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code is None or isinstance(end.value.code, int)
    return end.value.code or 0


def test_variability_prints_exactly_nu_and_the_best_layer(
    monkeypatch, capsys, messages: Path
):
    columns = ("--text", "text", "--label", "topic")
    assert stc(monkeypatch, "variability", messages, *columns, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert list(said) == ["nu", "best_layer"]
    texts, codes = labelled_texts(DataConfig(path=str(messages), labels=("topic",)))
    assert len(texts) == 240
    assert np.bincount(codes).tolist() == [24] * 10
    known = measure(Backbone.load(), texts, codes)
    assert said["nu"] == pytest.approx(known.nu, rel=1e-6)
    assert said["best_layer"] == known.best_layer == int(np.argmin(said["nu"]))


def test_variability_as_a_table(monkeypatch, capsys, messages: Path):
    assert stc(monkeypatch, "variability", messages, "--label", "topic") == 0
    out = capsys.readouterr().out
    assert "embeddings" in out
    assert "block 6" in out


def test_variability_of_one_class_is_refused(monkeypatch, capsys, tmp_path: Path):
    path = tmp_path / "one.csv"
    path.write_text("text,label\ngood,a\nbad,a\nfine,a\n")
    assert stc(monkeypatch, "variability", path, "--label", "label") == 2
    assert "Error" in capsys.readouterr().err


def test_a_text_is_explained_by_gradients_too(monkeypatch, capsys, tuned_folder: Path):
    asked = ("explain", tuned_folder, "--text", "my parcel is late", "--gradients")
    assert stc(monkeypatch, *asked, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    label = found["label"]
    assert found["gradients"]["label"] == label
    tokens = found["gradients"]["tokens"]
    total = sum(token["contribution"][label] for token in tokens)
    gained = found["gradients"]["logit"] - found["gradients"]["start"]
    assert total == pytest.approx(gained + found["gradients"]["error"], abs=1e-3)
    assert stc(monkeypatch, *asked) == 0
    assert "Integrated gradients" in capsys.readouterr().out


def test_a_tuned_run_predicts_and_reports(
    monkeypatch, capsys, tuned_folder: Path, tmp_path: Path
):
    lines = tmp_path / "lines.csv"
    lines.write_text("text\nwhere is my parcel\nplease refund me\n")
    out = tmp_path / "out.csv"
    assert stc(monkeypatch, "predict", tuned_folder, lines, "--out", out) == 0
    assert out.read_text().count("\n") == 3
    assert stc(monkeypatch, "report", tuned_folder) == 0
    said = capsys.readouterr().out
    assert "the same layer, not tuned" in said
    assert "sparsify-then-classify, not tuned" in said


def test_a_wrong_tuning_is_refused_by_its_option(monkeypatch, capsys, messages: Path):
    columns = ("--text", "text", "--label", "topic", "--recipe", "variability")
    assert stc(monkeypatch, "train", messages, *columns, "--tune-blocks", 0) == 2
    assert "--tune-blocks" in capsys.readouterr().err


def test_what_is_done_cannot_be_resumed(monkeypatch, capsys, tuned_folder: Path):
    assert stc(monkeypatch, "resume", tuned_folder) == 2
    assert "a done one" in capsys.readouterr().err
