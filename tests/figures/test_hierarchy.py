"""Figures of a hierarchy: what they show is what the tables say."""

from typing import Any

import numpy as np
import pandas as pd

from helpers.frames import layout
from helpers.label_trees import FRAME
from stc_core.analysis.label_tree_tables import child_confusion, node_table
from stc_core.figures.hierarchy import (
    ROOT,
    UNKNOWN,
    confusion_map,
    level_curves,
    tree_figure,
)
from stc_core.figures.style import Colour


def level_scores() -> pd.DataFrame:
    rows = [
        {
            "level": level,
            "column": f"<b>level {level}</b>",
            "layer": layer,
            "accuracy": 0.5 + 0.1 * layer,
            "accuracy_low": 0.4 + 0.1 * layer,
            "accuracy_high": 0.55 + 0.1 * layer,
            "n": 90,
            "nu": np.nan if level else 2.5,
            "chosen": layer == 2 + level,
        }
        for level in (0, 1)
        for layer in (1, 2, 3)
    ]
    return pd.DataFrame(rows)


def test_the_tree_has_every_node_under_its_parent():
    nodes = node_table(FRAME)
    tree: Any = tree_figure(nodes).data[0]
    assert list(tree.ids[1:]) == nodes["id"].tolist()
    assert list(tree.parents[:3]) == ["", tree.ids[0], tree.ids[0]]
    assert list(tree.parents[3:]) == nodes["parent"].tolist()[2:]
    assert tree.values[0] == 4 == sum(tree.values[1:3])  # leaves, all alike
    assert list(tree.values[3:]) == [1] * 4
    colours = dict(zip(tree.ids, tree.marker.colors, strict=True))
    assert colours["a › x"] == Colour(217, 84, 30).css()
    assert colours["b › x"] == Colour(11, 140, 117).css()
    assert colours["b › z"] == UNKNOWN.css()
    assert "no test texts" in tree.hovertext[-1]
    texts = dict(zip(tree.ids, tree.text, strict=True))
    rows = dict(zip(nodes["id"], nodes["rows"], strict=True))
    assert texts[tree.ids[0]] == "6" and texts["b › z"] == str(rows["b › z"])
    assert texts["a › x"] == f"{rows['a › x']} · 0%"


def test_the_root_of_the_tree_has_a_name_that_can_be_read():
    tree: Any = tree_figure(node_table(FRAME)).data[0]
    assert tree.ids[0] and tree.labels[0] == "all texts"
    assert tree.textfont.color[0] == ROOT.ink


def test_of_a_tree_with_many_leaves_only_names_that_fit_are_written():
    """At their least size; names drawn over each other are read by nobody."""
    layout: Any = tree_figure(node_table(FRAME)).layout
    assert layout.uniformtext.mode == "hide" and layout.uniformtext.minsize >= 9


def test_the_layer_in_use_is_marked():
    figure = level_curves(level_scores(), layer_names=["embeddings", "block 1"])
    traces: Any = figure.data
    marks = [trace for trace in traces if not trace.name]
    assert [list(mark.x) for mark in marks] == [[2], [3]]
    line = traces[0]
    assert line.customdata.tolist() == [[0, 1], [0, 2], [0, 3]]
    assert line.name == "&lt;b&gt;level 0&lt;/b&gt;"
    assert "(block 1)" in line.hovertext[0] and "ν = 2.5" in line.hovertext[0]
    assert "ν" not in traces[2].hovertext[0]


def test_the_map_shows_counts_and_shades_by_share():
    counts = child_confusion(FRAME, ("a",))
    figure = confusion_map(counts)
    heat: Any = figure.data[0]
    assert np.array(heat.text).tolist() == counts.to_numpy().tolist()
    assert np.allclose(np.array(heat.z).sum(axis=1), 1)
    assert layout(figure).yaxis.autorange == "reversed"
