"""Score against neurons and depth: the points of the table, the chosen one marked."""

import numpy as np
import pytest

from helpers.frames import curves, layout, learning, traces
from stc_core.figures.trade import depth_curve, neuron_curve, rows_curve


def test_the_neuron_curve_holds_the_points_and_their_band():
    band, line, chosen = neuron_curve(curves()).data
    assert list(line.x) == [4, 8, 16, 32, 64]
    np.testing.assert_allclose(line.y, [0.5, 0.77, 0.79, 0.8, 0.8])
    np.testing.assert_allclose(band.y[:5], np.array(line.y) + 0.05)
    np.testing.assert_allclose(band.y[5:], np.array(line.y)[::-1] - 0.05)
    assert (list(chosen.x), list(chosen.y)) == ([32], [0.8])


def test_the_neuron_axis_is_logarithmic_with_whole_ticks():
    axis = layout(neuron_curve(curves())).xaxis
    assert axis.type == "log"
    assert list(axis.tickvals) == [1, 2, 4, 8, 16, 32, 64]


def test_macro_f1_has_no_band():
    assert len(neuron_curve(curves(), "macro_f1").data) == 2


def test_the_depth_curve_shows_what_is_saved():
    figure = depth_curve(curves())
    flops, parameters = (trace for trace in figure.data if trace.type == "bar")
    np.testing.assert_allclose(flops.y, [1, 2 / 3, 1 / 3, 0], atol=1e-12)
    np.testing.assert_allclose(parameters.y, [1 / 2, 1 / 3, 1 / 6, 0], atol=1e-12)
    line = next(
        t for t in figure.data if t.type == "scatter" and t.customdata is not None
    )
    assert [row[0] for row in line.customdata] == [0, 1, 2, 3]


@pytest.mark.parametrize("draw", [neuron_curve, depth_curve])
def test_a_curve_without_a_chosen_point_is_drawn(draw):
    assert draw(curves().assign(chosen=False)).data


def test_hover_says_score_interval_and_cost():
    said = neuron_curve(curves()).data[1].hovertext[0]
    assert "4 neurons, up to layer 3" in said
    assert "45.0 to 55.0 %" in said


@pytest.mark.parametrize("draw", [neuron_curve, depth_curve])
@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_a_flat_curve_is_not_pressed_flat_by_its_axis(draw, metric):
    table = curves()
    table[["accuracy", "macro_f1", "accuracy_low", "accuracy_high"]] = 0.966
    axis = layout(draw(table, metric)).yaxis
    low, high = axis.range
    assert 0.9 < low < 0.966 < high <= 1.03 and axis.tickformat == ".1%"
    wide = layout(draw(curves(), metric)).yaxis
    assert wide.tickformat == ".0%" and wide.range[0] < wide.range[1] <= 1.03


def test_the_learning_curve_has_measured_points_and_goes_on_beyond_the_present_rows():
    figure = rows_curve(learning())
    band, line, points, now = traces(figure)
    assert list(line.x) == [96, 682, 1382]
    np.testing.assert_allclose(line.y, [0.55, 0.8125, 0.855])
    np.testing.assert_allclose(band.y[:3], [0.6, 0.85, 0.91])
    np.testing.assert_allclose(band.y[3:], [0.81, 0.78, 0.5])
    assert list(points.x) == [96, 545] and list(points.y) == [0.55, 0.79]
    np.testing.assert_allclose(points.error_y.array, [0.0392, 0.0196])
    assert (list(now.x), list(now.y)) == ([682], [0.8125])
    assert layout(figure).xaxis.title.text == "rows learned from"
