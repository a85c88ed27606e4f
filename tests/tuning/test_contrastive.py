"""Tuning on pairs: the loss, the batches, and a readout that learns from them."""

import copy
from itertools import combinations

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from helpers.models.tiny import TEXTS, tiny_model, tiny_tokenizer
from stc_core.activations.features import dense_features
from stc_core.backbone.backbone import Backbone
from stc_core.heads.head import SparseHead
from stc_core.recipe_settings import TuneConfig
from stc_core.tuning.blocks import changes_for, cut_and_adapt, plan_tuning
from stc_core.tuning.contrastive import PairReadout, balanced_batches, pair_loss
from stc_core.tuning.trainer import TrainingRows, train_module
from stc_core.types import PooledSite

CODES = np.array([int("good" in text or "film" in text) for text in TEXTS])


def test_the_loss_is_that_of_each_pair_with_both_kinds_alike():
    rng = np.random.default_rng(0)
    vectors = torch.from_numpy(rng.standard_normal((7, 5)).astype(np.float32))
    codes = torch.tensor([0, 1, 2, 0, 1, 0, 3])
    errors: dict[bool, list[float]] = {True: [], False: []}
    for a, b in combinations(range(7), 2):
        same = bool(codes[a] == codes[b])
        cosine = float(cosine_similarity(vectors[a], vectors[b], dim=0))
        errors[same].append((cosine - same) ** 2)
    expected = (np.mean(errors[True]) + np.mean(errors[False])) / 2
    assert float(pair_loss(vectors, codes)) == pytest.approx(expected, rel=1e-5)


def test_nothing_is_left_to_learn_if_classes_are_at_right_angles():
    vectors = torch.tensor([[2.0, 0.0], [5.0, 0.0], [0.0, 1.0]])
    assert float(pair_loss(vectors, torch.tensor([0, 0, 1]))) == pytest.approx(0)


def test_pairs_of_one_kind_alone_have_a_loss_too():
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert float(pair_loss(vectors, torch.tensor([0, 1]))) == pytest.approx(1)
    assert float(pair_loss(vectors, torch.tensor([0, 0]))) == pytest.approx(0)


def test_a_batch_has_classes_alike_in_pairs_and_no_text_twice():
    codes = np.repeat([0, 1, 2, 3], [50, 30, 20, 8])
    found = balanced_batches(codes, batch=16, batches=30, seed=0)
    assert found.shape == (30, 16)
    for batch in found:
        assert len(set(batch.tolist())) == 16
        assert np.bincount(codes[batch]).tolist() == [4, 4, 4, 4]


def test_many_classes_take_turns_by_pairs():
    codes = np.repeat(np.arange(40), 5)
    found = balanced_batches(codes, batch=16, batches=5, seed=0)
    counts = np.stack([np.bincount(codes[batch], minlength=40) for batch in found])
    assert set(np.unique(counts)) == {0, 2}
    assert (counts.sum(axis=0) == 2).all()  # 5 batches of 8 classes: each once


def test_every_text_has_its_turn():
    codes = np.array([0] * 9 + [1] * 3 + [2])
    found = balanced_batches(codes, batch=6, batches=20, seed=0)
    assert set(found.ravel().tolist()) == set(range(13))
    lone = (codes[found] == 2).sum(axis=1)  # a class of one text gives just that one
    assert lone.max() == 1


def test_few_texts_are_one_batch():
    codes = np.array([0, 0, 0, 0, 0, 1, 1])
    found = balanced_batches(codes, batch=64, batches=3, seed=0)
    assert [sorted(batch) for batch in found.tolist()] == [list(range(7))] * 3


def test_the_same_seed_gives_the_same_batches():
    codes = np.arange(30) % 3
    one, two = (balanced_batches(codes, batch=8, batches=9, seed=4) for _ in range(2))
    other = balanced_batches(codes, batch=8, batches=9, seed=5)
    assert np.array_equal(one, two) and not np.array_equal(one, other)


def readout(family: str = "bert", **settings) -> tuple[Backbone, PairReadout]:
    specials = family in ("bert", "distilbert", "roberta", "albert")
    model = copy.deepcopy(tiny_model(family))
    base = Backbone.from_model(model, tiny_tokenizer("right", specials=specials))
    tune = TuneConfig.model_validate({"where": "all", **settings})
    plan = plan_tuning(base, [1.0] * (base.n_layers + 1), tune)
    features = dense_features(base, plan.layer)
    d = len(features)
    ones, zeros = np.ones(d, np.float32), np.zeros(d, np.float32)
    weight = np.zeros((2, d), np.float32)
    head = SparseHead(features, zeros, ones, weight, weight[:, 0].copy(), ("a", "b"))
    made = cut_and_adapt(base, plan, changes_for(base, plan, tune), seed=0)
    return made.backbone, PairReadout(made.backbone, head, made.parts, made.blocks)


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_texts_of_a_class_come_together(family, tmp_path):
    backbone, module = readout(family)
    ids = backbone.tokenize(TEXTS).ids
    batches = balanced_batches(CODES, batch=32, batches=30, seed=0)
    order = batches.ravel()
    codes = torch.from_numpy(CODES)
    before = float(pair_loss(torch.from_numpy(module.means_of(ids)), codes))
    judged: list[int] = []
    history = train_module(
        module,
        TrainingRows([ids[row] for row in order], CODES[order]),
        TrainingRows(ids[:4], CODES[:4]),
        TuneConfig(epochs=2, batch=batches.shape[1], learning_rate=3e-3),
        by="goal_score",
        seed=0,
        folder=tmp_path,
        tell=lambda *told: None,
        before_judging=lambda: judged.append(1),
        in_order=True,
        choose=False,
    )
    after = float(pair_loss(torch.from_numpy(module.means_of(ids)), codes))
    assert after < 0.6 * before, (after, before)
    assert len(judged) == 2 and [one.epoch for one in history.epochs] == [0, 1, 2]


def test_means_are_those_of_the_backbone_without_dropout():
    backbone, module = readout()
    ids = backbone.tokenize(TEXTS).ids
    site = PooledSite(module.site, "mean")
    module.eval()
    expected = backbone.pooled(ids, [site])[site].numpy()
    module.train()
    assert np.allclose(module.means_of(ids, size=3), expected, atol=1e-5)
    assert module.training


def test_it_answers_by_the_head_it_was_given():
    backbone, module = readout()
    ids = backbone.tokenize(TEXTS).ids
    X = module.means_of(ids)
    first = module.linear_head()
    rng = np.random.default_rng(0)
    head = first._replace(
        mean=X.mean(axis=0),
        sd=X.std(axis=0),
        weight=rng.standard_normal(first.weight.shape).astype(np.float32),
        bias=np.array([1, -1], np.float32),
    )
    module.give_head(head)
    assert np.allclose(module.linear_head().logits(X), head.logits(X), atol=1e-4)
    assert module.linear_head().features == first.features
