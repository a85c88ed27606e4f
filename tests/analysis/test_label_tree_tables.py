"""Nodes and mistakes of a tree of labels, counted by hand."""

import pandas as pd
import pytest

from helpers.label_trees import FRAME, NAMES
from stc_core.analysis.label_tree_tables import (
    child_confusion,
    depth_of,
    node_table,
    with_labels,
)


def test_nodes_count_texts_and_right_paths():
    nodes = node_table(FRAME).set_index("id")
    assert list(nodes.index) == ["a", "b", "a › x", "a › y", "b › x", "b › z"]
    assert nodes["rows"].tolist() == [4, 2, 3, 1, 1, 1]
    assert nodes["tested"].tolist() == [3, 1, 2, 1, 1, 0]
    assert nodes.loc["a", "accuracy"] == pytest.approx(2 / 3)
    assert nodes.loc["a › x", "accuracy"] == 0  # right label, another parent
    assert nodes.loc["b › x", "accuracy"] == 1
    assert pd.isna(nodes.loc["b › z", "accuracy"])
    assert nodes.loc["b › z", "parent"] == "b"
    for parent, part in nodes[nodes["level"] == 2].groupby("parent"):
        assert part["rows"].sum() == nodes.loc[parent, "rows"]


def test_mistakes_inside_a_parent_sum_to_its_texts():
    found = child_confusion(FRAME, ("a",))
    assert found.loc["x"].tolist() == [0, 1, 1]
    assert found.loc["y"].tolist() == [0, 1, 0]
    assert list(found) == ["x", "y", "elsewhere"]
    top = child_confusion(FRAME, ())
    assert top.to_numpy().sum() == 4
    assert top.loc["a", "b"] == 1 and top.loc["a", "elsewhere"] == 0


def test_labels_join_predictions_by_place():
    predictions, corpus = FRAME.drop(columns=NAMES[1:3]), FRAME[NAMES[1:3]]
    corpus = corpus.set_index(pd.Index(range(10, 16)))
    joined = with_labels(predictions, corpus)
    assert depth_of(joined) == 2
    assert joined["label_2"].tolist() == FRAME["label_2"].tolist()
