"""Decoders that spell their labels: learned, saved, loaded, and as a whole run."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf

from helpers.models.saved import PATHS, saved_lm
from helpers.models.tiny import CONFIGS, TEXTS, VOCAB, tiny_tokenizer
from helpers.runs.hierarchy import table
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.label_tree import tree_of
from stc_core.classifiers.spelled import SpelledClassifier, open_spelled_kind
from stc_core.classifiers.spelling import spelled_names
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.errors import StcError
from stc_core.recipe_settings import HierarchyConfig, TuneConfig
from stc_core.recipes import registry
from stc_core.recipes.hierarchy.word_module import WordHeadModule, copied_word_head
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter
from stc_core.tuning.blocks import TunePlan, changes_for, cut_and_adapt


def word_heads(folder: Path, family: str = "llama", **wish: Any) -> WordHeadModule:
    base = Backbone.load(str(saved_lm(folder, family)), device="cpu")
    plan = TunePlan(3, (3,))
    tunable = cut_and_adapt(
        base, plan, changes_for(base, plan, TuneConfig(blocks=1)), seed=0
    )
    tree, head = tree_of(PATHS), copied_word_head(str(folder))
    assert head is not None
    names = spelled_names(tree, tunable.backbone)
    settings = {"norm": True, "weights": (1.0, 3.0), **wish}
    return WordHeadModule(
        tunable, tree, names, layers=(1, 3), heads=[head, head], **settings
    )


@pytest.mark.parametrize("norm", [True, False])
def test_the_loss_is_that_of_the_sequence_by_hand(tmp_path: Path, norm: bool):
    model = word_heads(tmp_path, norm=norm).eval()
    lm: Any = hf.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    text, end = [VOCAB["price"], VOCAB["slow"]], 3
    good, film = VOCAB["good"], VOCAB["film"]
    whole = torch.tensor([[*text, end, good, end, good, film, end]])
    with torch.no_grad():
        states = lm(whole, output_hidden_states=True).hidden_states
        inner = lm.model.norm(states[1]) if norm else states[1]
        first = torch.log_softmax(lm.lm_head(inner), -1)[0]
        last = torch.log_softmax(lm.lm_head(states[3]), -1)[0]  # has the norm already
        coarse = -(first[2, good] + first[3, end]) / 2
        fine = -(last[4, good] + last[5, film] + last[6, end]) / 3
        inputs = {"input_ids": torch.tensor([text]), "attention_mask": torch.ones(1, 2)}
        found = model(labels=torch.tensor([0]), **inputs)
    assert model._speller.tree.path(0) == ("bad", "awful")
    with torch.no_grad():
        found = model(labels=torch.tensor([1]), **inputs)
    assert model._speller.tree.path(1) == ("good", "good film")
    assert found["loss"].item() == pytest.approx(
        float(0.25 * coarse + 0.75 * fine), rel=1e-4
    )


def test_what_learns_is_heads_and_blocks(tmp_path: Path):
    model = word_heads(tmp_path)
    learning = {n.split(".")[0] for n, p in model.named_parameters() if p.requires_grad}
    assert learning == {"model", "heads"}
    state = model.state_dict()
    model.load_state_dict(state)
    model.train()
    inputs = {"input_ids": torch.tensor([[7, 8]]), "attention_mask": torch.ones(1, 2)}
    model(labels=torch.tensor([2]), **inputs)["loss"].backward()
    head: Any = model.heads[0]
    assert head.weight.grad.abs().sum() > 0


def test_the_logits_are_the_way_down(tmp_path: Path):
    model = word_heads(tmp_path).eval()
    ids = model._backbone.tokenize(TEXTS[:8]).ids
    way = model._speller.descend(ids, 2)
    assert (model._paths(ids).argmax(1).numpy() == way.nodes[:, 1]).all()


def test_a_model_without_a_head_has_none(tmp_path: Path):
    model: Any = hf.AutoModel.from_config(CONFIGS["llama"]())
    model.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    assert copied_word_head(str(tmp_path)) is None


def test_the_way_over_the_disk(tmp_path: Path):
    backbone = Backbone.load(str(saved_lm(tmp_path / "lm")), device="cpu")
    heads = [torch.nn.Linear(16, 64), torch.nn.Linear(16, 64, bias=False)]
    made = SpelledClassifier(
        backbone, tree_of(PATHS), (2, 3), heads, ("a", "b"), norm=False
    )
    folder = made.save(tmp_path / "model", params={})
    again = open_spelled_kind(folder)
    ours, theirs = made.answer(TEXTS[:20]), again.answer(TEXTS[:20])
    assert (ours.nodes == theirs.nodes).all()
    assert np.allclose(ours.shares[1], theirs.shares[1], atol=1e-6)
    assert (made.up_to(1).answer(TEXTS[:20]).nodes[:, 0] == ours.nodes[:, 0]).all()
    with pytest.raises(StcError, match="heads class"):
        made.explain("good film")


@pytest.mark.parametrize("tied", [False, True])
def test_a_whole_run(tmp_path: Path, tied: bool):
    base = saved_lm(tmp_path / "lm")
    tune = TuneConfig(epochs=4, where="all", learning_rate=1e-2)
    if tied:
        tune = TuneConfig(epochs=1, method="lora", width=2)
    train = TrainConfig(
        recipe="hierarchy",
        backbone=str(base),
        device="cpu",
        kinds=("resid",),
        poolings=("mean",),
        tune=tune,
        hierarchy=HierarchyConfig(layers=(2, 3), tied=tied),
    )
    data = DataConfig(
        path=str(table(tmp_path, 2, names={"warm": "kind", "cold": "rude"})),
        text="text",
        labels=("level 0", "level 1"),
    )
    with RunWriter(tmp_path / "run", RunConfig(data=data, train=train)) as writer:
        run = registry.train(writer.config, writer)
    metrics = run.metrics
    assert metrics["hierarchy"]["heads"] == "words"
    assert metrics["test"]["consistency"] == 1
    assert {"flat", "separate", "inner_probe"} <= set(metrics["baselines"])
    if not tied:
        first, *_, last = run.tuning["epochs"]
        assert last["loss"] < 0.5 * first["loss"]
    found: Any = Run.open(run.folder).classifier()
    way = found.answer(run.corpus["text"].tolist())
    frame = run.predictions
    assert frame["predicted"].tolist() == found.classes_[way.nodes[:, -1]].tolist()
    steps = found.steps("good film", found.up_to(1).answer(["good film"]))
    assert [step["layer"] for step in steps] == [2]
