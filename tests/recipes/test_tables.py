"""The tables of a run, from features whose telling columns are known."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.models.tiny import tiny_backbone
from helpers.toy_features import Toy, make
from stc_core.data.columns import Columns
from stc_core.data.corpus import Corpus
from stc_core.data.findings import Report
from stc_core.recipes import tables
from stc_core.selection.stc import Fitted, fit_stc


@pytest.fixture(scope="module")
def toy() -> Toy:
    return make()


@pytest.fixture(scope="module")
def fitted(toy: Toy) -> Fitted:
    return fit_stc(toy.read, toy.task, toy.probes(), budget=6)


def corpus(frame: pd.DataFrame, *labels: str) -> Corpus:
    """Only what the tables look at."""
    columns = Columns("text", labels or ("label",), None, None)
    n = len(frame)
    report = Report(n_rows=n, n_used=n, columns=columns, classes={}, source={})
    return Corpus(frame, columns, report)


def test_probes_have_a_row_for_each_strength(toy):
    probes = toy.probes()
    frame: Any = tables.probe_table(probes, toy.task)
    assert len(frame) == sum(len(probe.path.Cs) for probe in probes)
    assert frame["best"].sum() == len(probes)
    best: Any = frame[frame["best"]].reset_index(drop=True)
    for i, probe in enumerate(probes):
        row = best.loc[i]
        assert row["site"] == str(probe.pooled_site.site)
        assert row["pooling"] == probe.pooled_site.pooling
        assert row["C"] == probe.path.Cs[probe.best]
        assert row["accuracy"] == probe.val_accuracy[probe.best]
        nonzeros = probe.path.coef[probe.best].any(axis=0).sum()
        assert row["nonzeros"] >= nonzeros > 0
    assert (frame["accuracy_low"] <= frame["accuracy"]).all()
    assert (frame["accuracy"] <= frame["accuracy_high"]).all()
    assert set(frame["n"]) == {len(toy.task.validation)}


def test_neurons_are_the_head(fitted):
    head = fitted.head
    frame: Any = tables.neuron_table(head)
    assert frame["neuron"].tolist() == list(range(6))
    assert frame["site"].tolist() == [str(f.site) for f in head.features]
    assert frame["index"].tolist() == [f.index for f in head.features]
    np.testing.assert_array_equal(frame["importance"], head.importance)
    np.testing.assert_array_equal(frame["mean"], head.mean)
    for k, name in enumerate(head.classes):
        np.testing.assert_array_equal(frame[f"weight:{name}"], head.weight[k])


def test_curves_have_their_cost_and_the_chosen_point(fitted):
    backbone = tiny_backbone("bert")
    frame: Any = tables.curve_table(fitted, backbone)
    assert len(frame) == len(fitted.points)
    neurons = frame[frame["curve"] == "neurons"]
    depth = frame[frame["curve"] == "depth"]
    assert (neurons["x"] == neurons["neurons"]).all()
    assert (depth["x"] == depth["layer"]).all()
    assert neurons.loc[neurons["chosen"], "neurons"].tolist() == [6]
    assert depth.loc[depth["chosen"], "layer"].tolist() == [fitted.head.layer]
    for _, row in frame.iterrows():
        part = backbone.flops_per_token(row["layer"]) / backbone.flops_per_token()
        assert row["flops_share"] == part
        part = backbone.parameters(row["layer"]) / backbone.parameters()
        assert row["parameters_share"] == part
    assert set(frame["n"]) == {220}  # all learned rows are held in turn


def test_the_frontier_tells_scores_and_costs_of_every_option():
    toy = make()
    found = fit_stc(toy.read, toy.task, toy.probes(), reported=toy.test)
    backbone, y = tiny_backbone("bert"), toy.task.codes[toy.test]
    seconds = {0: 0.001, 1: 0.002, 2: 0.003}
    frame: Any = tables.frontier_table(found, backbone, seconds, y_test=y, n=60)
    assert len(frame) == len(found.options)
    for option, row in zip(found.options, frame.to_dict("records"), strict=True):
        assert (row["layer"], row["neurons"]) == (option.layer, option.neurons)
        assert row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"]
        assert row["test_accuracy"] == np.mean(option.guess == y)
        assert row["flops_per_token"] == backbone.flops_per_token(option.deepest)
        assert row["parameters"] == backbone.parameters(option.deepest)
        assert row["ms_per_text"] == 1000 * seconds[option.deepest]
        assert row["chosen"] == (option is found.option)
    assert frame["chosen"].sum() == 1


def labelled() -> Corpus:
    frame = pd.DataFrame(
        {
            "text": list("abcd"),
            "label": ["cat", "dog", "car", "cat"],
            "label_1": ["animal", "animal", "thing", "animal"],
            "split": ["train", "validation", "test", "test"],
        }
    )
    return corpus(frame, "group", "kind")


P = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.6, 0.1, 0.3], [0.2, 0.1, 0.7]])


def test_predictions_by_hand():
    whole = labelled()
    frame: Any = tables.prediction_table(whole, whole.classes, P)
    assert frame["predicted"].tolist() == ["cat", "car", "car", "dog"]
    assert frame["correct"].tolist() == [True, False, True, False]
    assert frame["probability"].tolist() == [0.7, 0.5, 0.6, 0.7]
    assert frame["split"].tolist() == ["train", "validation", "test", "test"]
    assert frame["row"].tolist() == [0, 1, 2, 3]
    names = ["p:car", "p:cat", "p:dog"]
    np.testing.assert_allclose(frame[names], P, rtol=1e-6)


def test_some_rows_have_all_classes():
    """The first two rows know of no car."""
    whole = labelled()
    some = whole.take(np.arange(2))
    frame: Any = tables.prediction_table(some, whole.classes, P[:2])
    assert frame["predicted"].tolist() == ["cat", "car"]
    assert {"p:car", "p:cat", "p:dog"} <= set(frame)


def test_levels_by_hand():
    """A dog for a cat is wrong as a kind and right as a group."""
    rows = np.array([2, 3])
    coarse, fine = tables.level_scores(labelled(), rows, np.array(["car", "dog"]))
    assert (coarse["column"], coarse["accuracy"]) == ("group", 1.0)
    assert (fine["column"], fine["accuracy"]) == ("kind", 0.5)
    assert coarse["macro_f1"] == 1 and fine["macro_f1"] == pytest.approx(1 / 3)


def test_one_level_is_scored_once():
    one = labelled()
    alone = corpus(one.frame.drop(columns="label_1"), "kind")
    (only,) = tables.level_scores(alone, np.array([2]), np.array(["car"]))
    assert only == {"column": "kind", "accuracy": 1.0, "macro_f1": 1.0}


def test_guesses_give_the_scores_of_the_table():
    toy = make()
    probes = toy.probes()
    guesses = tables.probe_guesses(probes, toy.task)
    frame = tables.probe_table(probes, toy.task)
    right = (guesses.predicted == guesses.label).mean(axis=1)
    np.testing.assert_allclose(right, frame["accuracy"])
