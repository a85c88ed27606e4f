"""Figures of adapting a model: what is drawn, marked and written."""

from typing import Any

import pytest

from stc_core.figures.tuning import (
    comparison_table,
    nu_curve,
    training_curves,
    tunings_table,
)

NU = [3.0, None, 1.0, 2.0]
ROW = {
    "name": "tuned",
    "accuracy": 0.876,
    "accuracy_interval": [0.85, 0.9],
    "macro_f1": 0.87,
    "trainable": 1_234_567,
    "seconds": 75.0,
    "peak_bytes": 2_500_000_000,
    "flops_share": 0.667,
}


def test_the_curve_leaves_out_what_tells_nothing_and_marks_the_least():
    figure: Any = nu_curve(NU, best=2, layer_names=("embeddings", "a", "b<c", "d"))
    (points,) = figure.data
    assert list(points.x) == [0, 2, 3]
    assert [point[0] for point in points.customdata] == [0, 2, 3]
    assert list(points.marker.symbol) == ["circle", "star", "circle"]
    assert "b&lt;c" in points.hovertext[1]
    assert "the lowest" in points.hovertext[1]
    assert not figure.layout.shapes


def test_the_picked_layer_and_the_tuned_blocks_are_shaded():
    figure: Any = nu_curve(NU, best=2, picked=3, tuned=(1, 2))
    shapes = figure.layout.shapes
    assert [(shape.x0, shape.x1) for shape in shapes] == [(3, 3), (0.5, 2.5)]


def test_a_training_is_drawn_from_its_first_moment_on():
    empty: Any = training_curves({"steps": [], "epochs": []})
    assert all(len(trace.x) == 0 for trace in empty.data)
    epoch = {"epoch": 0.0, "loss": 0.7, "accuracy": 0.5, "macro_f1": 0.4, "seconds": 1}
    later = {**epoch, "epoch": 1.0, "accuracy": 0.8, "macro_f1": 0.75}
    history = {"steps": [(0.5, 0.6)], "epochs": [epoch, later]}
    figure: Any = training_curves(history)
    losses, held, score = figure.data
    assert (list(losses.x), list(held.x)) == ([0.5], [0, 1])
    assert list(score.y) == [0.5, 0.8]
    figure = training_curves(history, "macro_f1")
    assert list(figure.data[2].y) == [0.4, 0.75]


def test_the_table_is_readable():
    unknown = {**ROW, "name": "stc", "peak_bytes": None}
    table = comparison_table([ROW, unknown])
    assert table["Classifier"].tolist()[0] == "This classifier"
    assert table["Trained parameters"].tolist()[0] == "1,234,567"
    assert table["Memory"].tolist() == ["2.5 GB", "–"]
    assert table["Time"].tolist()[0] == "1 min 15 s"
    assert table["Compute"].tolist()[0] == "66.7 %"


def test_runs_stand_beside_each_other():
    metrics = {
        "comparison": [ROW],
        "chosen": {"blocks": "4-6"},
        "tuning": {"method": "lora"},
    }
    table = tunings_table([("one", metrics), ("two", metrics)])
    assert table["Run"].tolist() == ["one", "two"]
    assert table["Tuned"].tolist()[0] == "lora, blocks 4-6"
    assert table["Accuracy"].tolist()[1] == "87.6 %"
    assert tunings_table([]).empty


@pytest.mark.parametrize("name", ["tuned", "frozen", "stc", "last_layer"])
def test_every_row_has_a_name(name):
    assert comparison_table([{**ROW, "name": name}])["Classifier"].iloc[0]
