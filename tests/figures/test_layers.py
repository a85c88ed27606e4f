"""The layer curves: every probe at its place, and labels that can be read."""

import itertools

import numpy as np
import pytest

from helpers.frames import METRICS, layout, probes
from stc_core.analysis.layer_scores import readings
from stc_core.figures.layers import (
    _Line,
    _spread,
    layer_curves,
    pooling_colour,
    reference_lines,
)
from stc_core.poolings import POOLING_RULES


def test_each_curve_holds_the_scores_of_its_kind_and_pooling():
    figure = layer_curves(readings(probes()))
    curves = {trace.name: trace for trace in figure.data}
    assert list(curves) == [
        "hidden states · max",
        "hidden states · mean",
        "FFN neurons · max",
        "FFN neurons · mean",
    ]
    curve = curves["FFN neurons · max"]
    np.testing.assert_allclose(curve.y, [0.64, 0.9, 0.7])
    np.testing.assert_allclose(curve.error_y.array, 0.03)
    np.testing.assert_allclose(curve.error_y.arrayminus, 0.04)
    assert [row[0] for row in curve.customdata] == [1, 2, 3]
    assert np.abs(np.array(curve.x) - [1, 2, 3]).max() < 0.2


def test_colour_is_the_pooling_and_dash_the_kind():
    traces = layer_curves(readings(probes())).data
    assert traces[0].line.color == traces[2].line.color == pooling_colour("max")
    assert traces[0].line.dash != traces[2].line.dash
    assert traces[0].marker.symbol != traces[2].marker.symbol
    assert len({pooling_colour(name) for name in (*POOLING_RULES, "all")}) == 5


def test_a_pooling_that_is_none_of_the_known_has_a_curve_too():
    found = probes().assign(pooling="all")
    assert [trace.name for trace in layer_curves(readings(found)).data] == [
        "hidden states · all",
        "FFN neurons · all",
    ]


def test_hover_says_interval_and_n_and_names_the_layer():
    names = ("embeddings", "block 1", "block <2>", "block 3")
    figure = layer_curves(readings(probes()), layer_names=names)
    said = figure.data[2].hovertext[1]
    for part in ("mlp.2 · max", "(block &lt;2&gt;)", "90.0 %", "n = 120", "C = 0.1"):
        assert part in said
    assert "86.0 to 93.0 %" in said


def test_macro_f1_has_no_interval():
    figure = layer_curves(readings(probes(), "macro_f1"), named="macro-F1")
    np.testing.assert_allclose(figure.data[2].y, [0.59, 0.85, 0.65])
    assert figure.data[2].error_y.array is None
    assert "95 %" not in figure.data[2].hovertext[0]


def test_lines_name_their_split_and_n():
    figure = layer_curves(readings(probes()), reference_lines(METRICS, "accuracy"))
    said = {note.text: note.hovertext for note in layout(figure).annotations}
    assert list(said) == [
        "This classifier 85.0 %",
        "TF-IDF words 78.0 %",
        "Most frequent class 20.0 % ↓",
    ]
    assert "n = 200 test texts" in said["This classifier 85.0 %"]
    assert "72.0 to 84.0 %" in said["TF-IDF words 78.0 %"]


def test_a_line_far_below_is_named_at_the_foot_and_not_drawn():
    figure = layer_curves(readings(probes()), reference_lines(METRICS, "accuracy"))
    assert layout(figure).yaxis.range[0] > 0.4
    assert [shape.y0 for shape in layout(figure).shapes] == [0.85, 0.78]


def test_lines_of_macro_f1_are_macro_f1():
    assert [line.value for line in reference_lines(METRICS, "macro_f1")] == [
        0.8,
        0.1,
        0.7,
    ]
    assert reference_lines(METRICS, "macro_f1")[0] == _Line(
        "This classifier", 0.8, "test", 200, 0.35, 0.55, ours=True
    )


def test_scores_that_a_run_does_not_tell_have_no_lines():
    assert reference_lines(METRICS, "auc") == []


def test_the_control_is_a_dotted_line_within_the_axis():
    control = probes().assign(accuracy=0.2)
    points = readings(probes(), control=control)
    assert len(layer_curves(points).data) == 4
    figure = layer_curves(points, control=True)
    line = figure.data[4]
    assert line.name.startswith("control") and line.line.dash == "dot"
    np.testing.assert_allclose(line.y, 0.2)
    assert layout(figure).yaxis.range[0] < 0.2
    assert "shuffled labels: 20.0 %" in figure.data[0].hovertext[0]


def test_a_selectivity_below_nothing_is_within_the_axis():
    control = probes().assign(accuracy=0.8)
    points = readings(probes(), control=control, selectivity=True)
    figure = layer_curves(points, named="accuracy, less the control")
    assert layout(figure).yaxis.range[0] < points["low"].min() < 0
    assert "less the control" in layout(figure).yaxis.title.text


def test_the_picked_layer_is_marked():
    figure = layer_curves(readings(probes()), picked=2)
    assert [shape.x0 for shape in layout(figure).shapes] == [2]


@pytest.mark.parametrize(
    "wanted",
    [
        [0.9, 0.89, 0.888, 0.5],
        [0.41, 0.405, 0.4, 0.4],
        [1.0],
        [],
        [0.9, 0.6, 0.3 + 0.2],
    ],
)
def test_labels_stand_apart_in_their_order(wanted):
    places = _spread(wanted, 0.05, (0.4, 1.0))
    assert all(a - b >= 0.05 - 1e-9 for a, b in itertools.pairwise(places))
    assert all(0.4 - 1e-9 <= place <= 1.0 for place in places)


def test_labels_with_room_stay_where_they_are():
    assert _spread([0.9, 0.7, 0.5], 0.05, (0.4, 1.0)) == [0.9, 0.7, 0.5]


def test_too_many_labels_keep_their_distance_and_the_top():
    places = _spread([1.0] * 30, 0.05, (0.4, 1.0))
    np.testing.assert_allclose(-np.diff(places), 0.05)
    assert places[0] == pytest.approx(1.0)


def test_no_two_ticks_of_a_narrow_axis_are_the_same():
    points = readings(probes(), "accuracy")
    wide = layout(layer_curves(points)).yaxis
    assert wide.tickformat == ".0%"
    for part, form in ((10, ".1%"), (100, ".2%")):
        value = 0.8 + points["value"] / part
        near = points.assign(value=value, low=np.nan, high=np.nan)
        assert layout(layer_curves(near)).yaxis.tickformat == form
