"""Copies and pickles of classifiers say the same as the original."""

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pytest
import torch

from helpers.models.classifiers import (
    ALL,
    TWO,
    hierarchical,
    make,
    masked,
    replying,
    spelled,
)
from helpers.models.tiny import TEXTS, fresh_backbone, one_thread, saved_tiny
from stc_core.classifiers.estimator import SparsifyThenClassify
from stc_core.errors import StcError

assert one_thread


def test_a_model_that_has_shown_its_hidden_states_is_pickled_whole():
    """transformers leaves hooks on it that pickle does not take."""
    backbone = fresh_backbone()
    ids = torch.tensor([[2, 5, 3]])
    shown = backbone.model(ids, output_hidden_states=True).hidden_states
    again = pickle.loads(pickle.dumps(backbone))
    for model in (backbone.model, again.model):
        found = model(ids, output_hidden_states=True).hidden_states
        for one, other in zip(shown, found, strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize(
    "again",
    [
        lambda one: pickle.loads(pickle.dumps(one)),
        lambda one: pickle.loads(cloudpickle.dumps(one)),
        copy.deepcopy,
        copy.copy,
    ],
    ids=["pickle", "cloudpickle", "deepcopy", "copy"],
)
@pytest.mark.parametrize("kind", ALL)
def test_a_copy_says_the_same(kind: str, again: Callable[[Any], Any]):
    model = ALL[kind](3)
    other = again(model)
    assert type(other) is type(model) and other.classes_.tolist() == [*model.classes_]
    np.testing.assert_array_equal(
        other.predict_proba(TEXTS[:9]), model.predict_proba(TEXTS[:9])
    )


def test_a_copy_of_fewer_levels_answers_as_many():
    for kind in (hierarchical, masked, spelled):
        coarse = pickle.loads(pickle.dumps(kind(3).up_to(1)))
        assert len(coarse.classes_) == 2
        assert coarse.predict_proba(TEXTS[:3]).shape == (3, 2)


def test_a_replying_classifier_still_writes_after_a_pickle():
    one = replying(2)
    other = pickle.loads(pickle.dumps(one))
    assert other.write(TEXTS[:2]).parts == one.write(TEXTS[:2]).parts


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> SparsifyThenClassify:
    """One on a backbone that has a folder, and so is loaded by its name."""
    folder = saved_tiny(tmp_path_factory.mktemp("named") / "base")
    return make(device="cpu").set_params(backbone=str(folder)).fit(*TWO)


def test_a_backbone_with_a_name_is_not_in_the_pickle(named, tmp_path):
    path = tmp_path / "model.joblib"
    joblib.dump(named, path)
    n_weights = sum(one.nbytes for one in named.backbone_.model.parameters())
    without = copy.copy(named)
    without.backbone_ = None
    assert len(pickle.dumps(named)) - len(pickle.dumps(without)) < 1000 < n_weights
    other = joblib.load(path)
    assert other.backbone_ is named.backbone_  # it is here already
    np.testing.assert_array_equal(
        other.predict_proba(TEXTS), named.predict_proba(TEXTS)
    )


def test_a_pickle_opens_its_backbone_elsewhere_and_checks_it(named, monkeypatch):
    data, said = pickle.dumps(named), named.predict_proba(TEXTS)
    monkeypatch.setattr("stc_core.backbone.pickling._HERE", {})  # as in another process
    other = pickle.loads(data)
    assert other.backbone_ is not named.backbone_
    assert other.backbone_.identity == named.backbone_.identity
    np.testing.assert_array_equal(other.predict_proba(TEXTS), said)
    tokenizer = Path(named.backbone_.name) / "tokenizer_config.json"
    before = tokenizer.read_text("utf-8")
    tokenizer.write_text(json.dumps(json.loads(before) | {"padding_side": "left"}))
    monkeypatch.setattr("stc_core.backbone.pickling._HERE", {})
    try:
        with pytest.raises(StcError, match=r"with identity .*as at the fit"):
            pickle.loads(data)
    finally:
        tokenizer.write_text(before, "utf-8")
