"""A model of transformers with a head of its own is used without a run."""

import json
from pathlib import Path

import pandas as pd
import pytest

from helpers.command import Stc
from helpers.models.saved import saved_base
from helpers.models.sequence import saved_classifier
from helpers.models.tiny import TEXTS
from stc_core import SequenceClassifier

TEXT = "good film never boring"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return saved_classifier(tmp_path / "own", "bert", ("bad", "good"))


def test_its_labels_are_written_and_scored(model: Path, tmp_path: Path, stc: Stc):
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    labels = ["good", "bad"] * 10
    pd.DataFrame({"text": TEXTS[:20], "label": labels}).to_csv(source, index=False)
    done = stc("predict", model, source, "--out", out, "--label", "label")
    assert done.code == 0, done.err
    expected = SequenceClassifier.load(str(model)).predict(TEXTS[:20])
    assert pd.read_csv(out)["predicted_label"].tolist() == expected.tolist()
    right = sum(a == b for a, b in zip(expected, labels, strict=True))
    assert f"Accuracy {100 * right / 20:.1f} %" in done.err


def test_a_text_is_explained(model: Path, stc: Stc):
    done = stc("explain", model, "--text", TEXT, "--json")
    found = json.loads(done.out)
    assert found["label"] in ("bad", "good") and found["error"] < 0.01
    refused = stc("explain", model, "--row", 3)
    assert refused.code == 2 and "a run, which has rows" in refused.err


def test_a_run_comes_before_a_cached_model_of_its_name(
    own_home: Path, run_folder: Path, stc: Stc
):
    saved_classifier(own_home / "cached_models" / "mine", "bert", ("bad", "good"))
    alone = json.loads(stc("explain", "mine", "--text", TEXT, "--json").out)
    assert set(alone["logits"]) == {"bad", "good"}
    (own_home / "runs").mkdir()
    (own_home / "runs" / "mine").symlink_to(run_folder)
    found = json.loads(stc("explain", "mine", "--text", TEXT, "--json").out)
    assert len(found["logits"]) == 10


def test_a_model_without_a_head_is_refused(tmp_path: Path, stc: Stc):
    base = saved_base(tmp_path / "base", "bert")
    done = stc("explain", base, "--text", TEXT)
    assert done.code == 2 and "classification head" in done.err
    assert "recipe stc" in done.err
