"""The hierarchical classifier: whole paths, early answers, its way over the disk."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.models.classifiers import classifier, hierarchical
from helpers.models.tiny import TEXTS
from stc_core.classifiers.hierarchical import (
    HierarchicalClassifier,
    limit_levels,
    open_hierarchical,
)
from stc_core.classifiers.labelling.text_labels import annotate
from stc_core.classifiers.predict_table import predict_file
from stc_core.errors import StcError
from stc_core.serve.answers import answers


@pytest.fixture(scope="module")
def model() -> HierarchicalClassifier:
    """Random heads on layers 1 and 3 of a tiny BERT, the coarse one with weight .5."""
    return hierarchical(5)


def test_it_decides_by_the_combined_scores_of_all_heads(
    model: HierarchicalClassifier,
):
    """log p(leaf) + .5 log p(parent), of each head read by itself."""
    tree, alone = model.tree_, model.up_to(1)
    coarse = alone.logits(TEXTS)
    # The finest head by itself: the combined one less what the coarse one adds to it.
    own = model.logits(TEXTS) - 0.5 * coarse[:, tree.ancestors(0)]
    log_p = own - np.logaddexp.reduce(own, axis=1, keepdims=True)
    log_q = coarse - np.logaddexp.reduce(coarse, axis=1, keepdims=True)
    score = log_p + 0.5 * log_q[:, tree.ancestors(0)]
    way = model.answer(TEXTS)
    best = score.argmax(axis=1)
    assert way.nodes[:, 1].tolist() == best.tolist()
    assert way.nodes[:, 0].tolist() == tree.ancestors(0)[best].tolist()
    # A sure leaf outvotes the coarse head.
    assert (way.nodes[:, 0] != coarse.argmax(axis=1)).any()
    shares = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    assert np.allclose(way.shares[1], shares, atol=1e-5)
    for node in range(2):
        summed = shares[:, tree.ancestors(0) == node].sum(axis=1)
        assert np.allclose(way.shares[0][:, node], summed, atol=1e-5)


def test_a_coarse_answer_runs_the_lower_blocks_only(model: HierarchicalClassifier):
    backbone, ran = model.backbone_, []
    handles = [
        block.register_forward_hook(lambda m, i, o, layer=layer: ran.append(layer))
        for layer in (1, 2, 3)
        if (block := backbone.block(layer)) is not None
    ]
    model.up_to(1).answer(TEXTS[:4])
    shallow = ran.copy()
    model.answer(TEXTS[:4])
    for handle in handles:
        handle.remove()
    assert shallow == [1]
    assert ran[1:] in ([1, 2], [1, 2, 3])


def test_levels_are_limited(model: HierarchicalClassifier):
    assert list(model.classes_) == ["w", "a › x", "b › x", "y", "z"]
    coarse = limit_levels(model, 1)
    assert list(coarse.classes_) == ["a", "b"]
    assert coarse.predict(TEXTS).tolist() == [
        "ab"[best] for best in coarse.logits(TEXTS).argmax(axis=1)
    ]
    with pytest.raises(StcError, match="1 to 2"):
        model.up_to(3)


@pytest.mark.parametrize("levels", [1, 2])
def test_the_explanation_sums_up_and_tells_the_levels(
    model: HierarchicalClassifier, levels: int
):
    limited = model.up_to(levels)
    found = limited.explain(TEXTS[5])
    for label in limited.classes_:
        for part in ("neurons", "tokens"):
            total = sum(one["contribution"][label] for one in found[part])
            assert found["bias"][label] + total == pytest.approx(
                found["logits"][label], abs=1e-3
            )
    assert found["label"] == limited.predict([TEXTS[5]])[0]
    steps = found["levels"]
    # All levels of an answer are decided together.
    assert [step["layer"] for step in steps] == [[1], [3, 3]][levels - 1]
    assert [step["column"] for step in steps] == ["kind", "sort"][:levels]
    assert steps[-1]["probability"] == pytest.approx(
        found["probabilities"][found["label"]]
    )
    assert steps[0]["probability"] >= steps[-1]["probability"]


def test_an_unsure_answer_is_a_coarser_label(model: HierarchicalClassifier):
    least = float(np.median(model.predict_proba(TEXTS).max(axis=1)))
    cautious = limit_levels(model, None, least)
    assert isinstance(cautious, HierarchicalClassifier)
    whole, way = model.answer(TEXTS), cautious.answer(TEXTS)
    sure = whole.shares[1].max(axis=1) >= least
    assert 0 < sure.sum() < len(TEXTS)
    assert (way.nodes[sure] == whole.nodes[sure]).all()
    assert (way.nodes[~sure, 1] == -1).all()
    coarse = np.array(["a", "b"])[whole.shares[0].argmax(axis=1)]
    labels = cautious.predict(TEXTS)
    assert labels[~sure].tolist() == coarse[~sure].tolist()
    assert labels[sure].tolist() == model.predict(TEXTS)[sure].tolist()
    assert np.array_equal(
        cautious.decision_function(TEXTS), model.decision_function(TEXTS)
    )
    frame = annotate(cautious, pd.DataFrame({"t": TEXTS}), text="t")
    assert frame["predicted_sort"].isna().tolist() == (~sure).tolist()
    assert frame["probability_sort"].isna().tolist() == (~sure).tolist()
    assert frame["predicted_label"].tolist() == labels.tolist()
    for said, label, is_sure in zip(
        answers(cautious, TEXTS), labels, sure, strict=True
    ):
        assert said["label"] == label and len(said["levels"]) == 1 + is_sure
        assert said["probability"] == said["levels"][-1]["probability"]
    with pytest.raises(StcError, match="0 to 1"):
        model.coarse_below(1.5)


def test_a_classifier_without_levels_has_no_coarse_answer():
    with pytest.raises(StcError, match=r"least probability: .*recipe hierarchy"):
        limit_levels(classifier(3), None, 0.5)
    one = classifier(3)
    assert limit_levels(one, None) is one


def test_the_way_over_the_disk(model: HierarchicalClassifier, tmp_path: Path):
    folder = model.save(tmp_path / "model", params={})
    again = open_hierarchical(folder, backbone=model.backbone_)
    assert again.tree_ == model.tree_ and list(again.columns_) == list(model.columns_)
    assert again.alphas_ == model.alphas_ == ((), (0.5,))
    assert tuple(again.layers_) == (1, 3)
    for levels in (1, 2):
        ours, theirs = (one.up_to(levels).answer(TEXTS) for one in (again, model))
        assert (ours.nodes == theirs.nodes).all()
        assert np.array_equal(ours.shares[-1], theirs.shares[-1])


def test_a_table_gets_a_column_for_each_level(
    model: HierarchicalClassifier, tmp_path: Path
):
    frame = pd.DataFrame({"t": [*TEXTS[:3], " "], "predicted_kind": "mine"})
    frame.index = pd.Index([7, 7, 7, 7])
    found = annotate(model, frame, text="t")
    names = ["predicted_kind_2", "probability_kind", "predicted_sort"]
    names += ["probability_sort", "predicted_label", "probability"]
    assert list(found)[2:8] == names
    assert list(found)[8:] == [f"p:{name}" for name in model.classes_]
    way = model.answer(TEXTS[:3])
    labels = np.array(model.tree_.labels[0])[way.nodes[:, 0]]
    assert found["predicted_kind_2"].tolist()[:3] == labels.tolist()
    assert found.iloc[3, 2:].isna().all()
    frame.to_csv(tmp_path / "in.csv", index=False)
    out = tmp_path / "out.csv"
    shallow = model.up_to(1)
    assert predict_file(shallow, tmp_path / "in.csv", out, trained="t").rows == 4
    assert list(pd.read_csv(out))[-4:] == [
        "predicted_label",
        "probability",
        "p:a",
        "p:b",
    ]


def test_a_table_without_any_text(model: HierarchicalClassifier):
    found = annotate(model, pd.DataFrame({"t": ["", " "]}), text="t")
    assert found["predicted_label"].isna().tolist() == [True, True]
