"""Classifiers of levels from before December 2026, whose coarse answers are final."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from helpers.models.saved import saved_base
from helpers.models.tiny import TEXTS
from stc_core.activations.features import dense_features
from stc_core.backbone import changes
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.class_guides import GuideSpec, guides_of
from stc_core.classifiers.label_tree import Tree, tree_of
from stc_core.classifiers.labelling.text_labels import annotate
from stc_core.classifiers.loading import open_classifier
from stc_core.classifiers.masked import MaskedClassifier
from stc_core.classifiers.predict_table import predict_file
from stc_core.errors import StcError
from stc_core.heads.head import SparseHead
from stc_core.recipe_settings import TuneConfig
from stc_core.tuning.blocks import TunePlan, changes_for, cut_and_adapt
from stc_core.types import Site

PATHS = np.array([("a", "x"), ("a", "y"), ("b", "x"), ("b", "z"), ("b", "w")])
LAYERS = (1, 3)


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> MaskedClassifier:
    """Random heads on layers 1 and 3 of a tiny BERT, with a guide that matters."""
    folder = tmp_path_factory.mktemp("masked")
    base = Backbone.load(str(saved_base(folder / "base", "bert")), device="cpu")
    tree = tree_of(PATHS)
    what = changes_for(base, TunePlan(3, (3,)), TuneConfig(blocks=1))
    above = base.block(2)
    name = next(n for n, m in base.model.named_modules() if m is above)
    groups = tuple(tree.ancestors(0).tolist())
    what = what._replace(guides=(GuideSpec(name, base.d_model, groups),))
    model = cut_and_adapt(base, TunePlan(3, (3,)), what, seed=0).backbone.model
    (guide,) = guides_of(model)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in guide.parameters():
            parameter.normal_()
    tensors = {f"{name}.guide.{k}": v for k, v in guide.state_dict().items()}
    place = changes.save_changes(folder / "backbone", what, tensors)
    backbone = Backbone.load(str(place), device="cpu")
    heads = [random_head(backbone, tree, layer) for layer in LAYERS]
    return MaskedClassifier(backbone, tree, heads, ("kind", "sort"), temperatures=[1.5])


def random_head(backbone: Backbone, tree: Tree, layer: int) -> SparseHead:
    rng = np.random.default_rng(layer)
    features, n = dense_features(backbone, layer), tree.sizes[-1]
    d = len(features)
    weight = rng.standard_normal((n, d)).astype(np.float32)
    zeros = np.zeros(d, np.float32)
    return SparseHead(
        features, zeros, zeros + 1, weight, np.zeros(n, np.float32), tree.names(1)
    )


def test_a_coarse_answer_is_the_beginning_of_the_full_one(
    masked: MaskedClassifier,
):
    full, coarse = masked.answer(TEXTS), masked.up_to(1).answer(TEXTS)
    assert (full.nodes[:, :1] == coarse.nodes).all()
    assert np.allclose(full.shares[0], coarse.shares[0], atol=1e-6)
    assert len(np.unique(full.nodes[:, 0])) == 2


def test_a_coarse_answer_runs_the_lower_blocks_only(
    masked: MaskedClassifier,
):
    backbone, ran = masked.backbone_, []
    handles = [
        block.register_forward_hook(lambda m, i, o, layer=layer: ran.append(layer))
        for layer in (1, 2, 3)
        if (block := backbone.block(layer)) is not None
    ]
    masked.up_to(1).answer(TEXTS[:4])
    shallow = ran.copy()
    masked.answer(TEXTS[:4])
    for handle in handles:
        handle.remove()
    assert shallow == [1]
    assert ran[1:] == [1, 2] or ran[1:] == [1, 2, 3]


def test_levels_equal_a_full_forward_by_hand(masked: MaskedClassifier):
    """One text at a time, padded, every block run: mean, head, sum over the leaves."""
    backbone, tree = masked.backbone_, masked.tree_
    way = masked.answer(TEXTS[:6])
    for row, text in enumerate(TEXTS[:6]):
        ids = backbone.tokenize([text]).ids
        sites = [Site(layer, "resid") for layer in (*LAYERS, backbone.n_layers)]
        states = backbone.token_activations(ids, sites)[0]
        p = []
        for head, layer in zip(masked.heads_, LAYERS, strict=True):
            mean = states[Site(layer, "resid")].numpy().mean(0)
            p.append(np.exp(head.logits(mean[None])[0].astype(float)))
        above = tree.ancestors(0)
        coarse = np.array([p[0][above == k].sum() for k in range(2)]) ** (1 / 1.5)
        best = int(coarse.argmax())
        assert way.shares[0][row] == pytest.approx(coarse / coarse.sum(), abs=1e-4)
        fine = np.where(above == best, p[1], 0)
        assert way.nodes[row].tolist() == [best, int(fine.argmax())]
        chance = coarse[best] / coarse.sum() * fine.max() / fine.sum()
        assert way.probabilities()[row, 1] == pytest.approx(chance, abs=1e-4)


def test_a_label_under_two_parents_is_two_classes(masked: MaskedClassifier):
    assert list(masked.classes_) == ["a › x", "y", "w", "b › x", "z"]
    assert list(masked.up_to(1).classes_) == ["a", "b"]
    with pytest.raises(StcError, match="1 to 2"):
        masked.up_to(3)


def test_the_explanation_sums_up_and_tells_the_levels(
    masked: MaskedClassifier,
):
    found = masked.explain(TEXTS[5])
    label = found["label"]
    parts = sum(neuron["contribution"][label] for neuron in found["neurons"])
    assert found["bias"][label] + parts == pytest.approx(
        found["logits"][label], abs=1e-3
    )
    first, last = found["levels"]
    assert (first["column"], first["layer"], last["layer"]) == ("kind", 1, 3)
    assert first["flops_share"] < last["flops_share"] == 1
    assert last["probability"] == pytest.approx(found["probabilities"][label])
    assert label in (last["label"], f"{first['label']} › {last['label']}")


def test_the_way_over_the_disk(masked: MaskedClassifier, tmp_path: Path):
    folder = masked.save(tmp_path / "model", params={})
    again = open_classifier(folder, backbone=masked.backbone_)
    assert isinstance(again, MaskedClassifier)
    assert again.tree_ == masked.tree_ and again.columns_ == masked.columns_
    ours, theirs = again.answer(TEXTS), masked.answer(TEXTS)
    assert (ours.nodes == theirs.nodes).all()
    assert np.allclose(ours.shares[1], theirs.shares[1], atol=1e-6)


def test_a_table_gets_a_column_for_each_level(masked: MaskedClassifier, tmp_path: Path):
    frame = pd.DataFrame({"t": [*TEXTS[:3], " "], "predicted_kind": "mine"})
    frame.index = pd.Index([7, 7, 7, 7])
    found = annotate(masked, frame, text="t")
    names = ["predicted_kind_2", "probability_kind", "predicted_sort"]
    names += ["probability_sort", "predicted_label", "probability"]
    assert list(found)[2:8] == names
    assert list(found)[8:] == [f"p:{name}" for name in masked.classes_]
    way = masked.answer(TEXTS[:3])
    labels = np.array(masked.tree_.labels[0])[way.nodes[:, 0]]
    assert found["predicted_kind_2"].tolist()[:3] == labels.tolist()
    assert found.iloc[3, 2:].isna().all()
    frame.to_csv(tmp_path / "in.csv", index=False)
    out = tmp_path / "out.csv"
    shallow = masked.up_to(1)
    assert predict_file(shallow, tmp_path / "in.csv", out, trained="t").rows == 4
    assert list(pd.read_csv(out))[-4:] == [
        "predicted_label",
        "probability",
        "p:a",
        "p:b",
    ]


def test_a_table_without_any_text(masked: MaskedClassifier):
    found = annotate(masked, pd.DataFrame({"t": ["", " "]}), text="t")
    assert found["predicted_label"].isna().tolist() == [True, True]
