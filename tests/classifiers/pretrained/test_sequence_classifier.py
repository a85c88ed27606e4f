"""An existing classifier predicts, explains, is saved and opened again."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from helpers.models.sequence import saved_classifier
from helpers.models.tiny import TEXTS
from stc_core import SequenceClassifier
from stc_core.classifiers.loading import open_classifier
from stc_core.classifiers.pretrained.own_labels import match_labels
from stc_core.classifiers.pretrained.sequence_model import SequenceModel
from stc_core.errors import StcError
from stc_core.files import read_json, write_json
from stc_core.interpret.integrated_gradients import integrated_gradients

OWN = ("joy", "love", "anger")
TEXT = "good film never boring"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return saved_classifier(tmp_path / "own", "bert", OWN)


def joined(folder: Path) -> SequenceClassifier:
    """Two labels of the head stand for one of the table."""
    model = SequenceModel.load(str(folder), device="cpu")
    pairs = ["joy=pos", "love=pos", "anger=neg"]
    return SequenceClassifier(model, match_labels(OWN, ["neg", "pos"], pairs))


@pytest.mark.parametrize("kind", ["own", "joined"])
def test_neurons_and_words_sum_to_the_logits(kind: str, folder: Path):
    whole = SequenceClassifier.load(str(folder), device="cpu")
    model = whole if kind == "own" else joined(folder)
    found = model.explain(TEXT)
    logits = dict(zip(model.classes_, model.logits([TEXT])[0], strict=True))
    assert (
        found["label"]
        == model.predict([TEXT])[0]
        == max(logits, key=lambda name: logits[name])
    )
    assert found["logits"] == pytest.approx(logits, abs=2e-5)
    assert found["error"] < 1e-3
    for part in ("neurons", "tokens"):
        for name, logit in logits.items():
            total = sum(row["contribution"][name] for row in found[part])
            assert total + found["bias"][name] == pytest.approx(logit, abs=2e-3)
    neuron = found["neurons"][3]
    assert neuron["site"] == "resid.3" and neuron["pooling"] == "first"
    special = [row for row in found["tokens"] if row["start"] == row["end"]]
    assert all(not any(row["contribution"].values()) for row in special)


def test_integrated_gradients_agree_with_the_words(folder: Path):
    model = joined(folder)
    words = model.explain(TEXT)["tokens"]
    other = integrated_gradients(model, TEXT, label="pos", n_steps=128)
    # The same path in the vectors of the words, before their norm, gives other parts
    # but the same sum.
    total = sum(row["contribution"]["pos"] for row in other["tokens"])
    assert sum(row["contribution"]["pos"] for row in words) == pytest.approx(
        total, abs=1e-2
    )


def test_joined_labels_add_their_probabilities(folder: Path):
    own = SequenceClassifier.load(str(folder), device="cpu").predict_proba(TEXTS[:9])
    two = joined(folder).predict_proba(TEXTS[:9])
    np.testing.assert_allclose(two[:, 1], own[:, 0] + own[:, 1], atol=1e-6)


def test_it_is_opened_again_with_the_same_answers(folder: Path, tmp_path: Path):
    model = joined(folder)
    saved = model.save(tmp_path / "saved", params={})
    copies = open_classifier(saved, device="cpu"), pickle.loads(pickle.dumps(model))
    for again in copies:
        np.testing.assert_array_equal(
            again.predict_proba(TEXTS[:9]), model.predict_proba(TEXTS[:9])
        )


def test_other_weights_and_other_labels_are_refused(folder: Path, tmp_path: Path):
    saved = joined(folder).save(tmp_path / "saved", params={})
    config = read_json(folder / "config.json")
    swapped = {"0": "love", "1": "joy", "2": "anger"}
    kept = pickle.dumps(joined(folder))
    write_json(folder / "config.json", {**config, "id2label": swapped})
    for opens in (
        lambda: open_classifier(saved, device="cpu"),
        lambda: pickle.loads(kept),
    ):
        with pytest.raises(StcError, match=r"joy, love, anger.*love, joy, anger"):
            opens()
    write_json(folder / "config.json", {**config, "layer_norm_eps": 0.5})
    with pytest.raises(StcError, match="of identity"):
        open_classifier(saved, device="cpu")


def test_an_explanation_ends_at_its_time_limit_between_two_labels(
    folder: Path, monkeypatch
):
    model = SequenceClassifier.load(str(folder), device="cpu")
    checks = iter([None] * 6)

    def check() -> None:
        if next(checks, "over") == "over":
            raise StcError("time", expected="less")

    path = "stc_core.classifiers.pretrained.sequence_model.check_time"
    monkeypatch.setattr(path, check)
    with pytest.raises(StcError, match="less"):
        model.explain(TEXT)


def test_it_has_no_selected_neurons(folder: Path):
    model = SequenceClassifier.load(str(folder), device="cpu")
    with pytest.raises(StcError, match="reads its whole last layer"):
        model.features([TEXT])
