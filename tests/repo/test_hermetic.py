"""The watch over what tests share sees each way in which one may change it."""

import os
from pathlib import Path

import pytest
import torch

from helpers import hermetic
from helpers.models import tiny
from helpers.models.tiny import fresh_backbone, fresh_model, look_at, tiny_backbone


def test_a_shared_backbone_refuses_to_be_changed():
    with pytest.raises(AttributeError, match="tiny bert is shared: use"):
        tiny_backbone().device = torch.device("cuda")
    fresh_backbone().device = torch.device("cuda")
    assert tiny_backbone().device.type == "cpu"


@torch.inference_mode()
def test_who_asks_first_does_not_matter(monkeypatch):
    """Weights made in inference mode could not be used for gradients later."""
    monkeypatch.setattr(hermetic, "_WATCHED", {})
    made = tiny._shared_backbone.__wrapped__("bert", "right")
    assert not any(weight.is_inference() for weight in made.model.parameters())
    model = tiny._shared_model.__wrapped__("bert")
    assert not any(weight.is_inference() for weight in model.parameters())
    assert any(weight.is_inference() for weight in fresh_model().parameters())


def change_in_place(model) -> None:
    next(model.parameters()).data[0, 0] += 1


def let_learn(model) -> None:
    next(model.parameters()).requires_grad_(True)


def train(model) -> None:
    next(model.children()).train()


def hook(model) -> None:
    next(model.children()).register_forward_hook(lambda *_: None)


@pytest.mark.parametrize("change", [change_in_place, let_learn, train, hook])
def test_a_changed_model_is_named_once(change, monkeypatch):
    monkeypatch.setattr(hermetic, "_WATCHED", {})
    model = fresh_model()
    hermetic.watch("mine", lambda: look_at(model))
    assert hermetic.damaged({"mine", "another"}) == []
    change(model)
    assert hermetic.damaged({"another"}) == []
    assert hermetic.damaged({"mine"}) == ["mine"]
    assert hermetic.damaged({"mine"}) == []


@pytest.mark.parametrize("change", ["add", "remove", "write"])
def test_a_changed_folder_is_named(change, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(hermetic, "_WATCHED", {})
    one = tmp_path / "in" / "one.txt"
    one.parent.mkdir()
    one.write_text("one")
    assert hermetic.watched_folder("mine", tmp_path) == tmp_path
    assert hermetic.damaged({"mine"}) == []
    if change == "add":
        (tmp_path / "two.txt").touch()
    elif change == "remove":
        one.unlink()
    else:
        one.write_text("two")
        os.utime(one, ns=(0, 0))  # whatever the clock's step
    assert hermetic.damaged({"mine"}) == ["mine"]


def test_what_a_test_left_in_the_process_is_named(monkeypatch, tmp_path):
    before = hermetic.process()
    monkeypatch.setenv("STC_NAME", "a value")
    monkeypatch.chdir(tmp_path)
    said = hermetic.changed(before, hermetic.process())
    assert len(said) == 2
    assert "the working directory" in said[0]
    assert said[1] == "the environment (STC_NAME)"
