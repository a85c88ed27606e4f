"""The neuron map and the close-up of one neuron, whatever their number."""

import numpy as np
import pandas as pd
import pytest

from helpers.frames import layout, neurons
from stc_core.figures.neurons import (
    DRAWN,
    _grid,
    bin_map,
    neuron_map,
    usage_scatter,
)
from stc_core.interpret.neuron_table import addresses_of, binned, chosen_neurons


def test_each_neuron_has_a_square_that_carries_it():
    squares, mark = neuron_map(neurons()).data
    assert squares.type == "scatter"  # a heatmap's cells cannot be clicked
    many = neuron_map(neurons({"mlp.1": DRAWN + 1})).data
    assert {trace.type for trace in many} == {"scattergl"}
    assert [row[0] for row in squares.customdata] == addresses_of(neurons())
    assert squares.marker.symbol == "square"
    assert len(set(zip(squares.x, squares.y, strict=True))) == 10
    assert len(mark.x) == 0


def test_sites_are_rows_from_the_bottom_up():
    figure = neuron_map(neurons())
    assert list(layout(figure).yaxis.ticktext) == [
        "resid.0 (2)",
        "resid.2 (3)",
        "mlp.2 (5)",
    ]
    assert list(layout(figure).yaxis.tickvals) == [0, 1.45, 2.9]


def test_a_large_site_goes_on_in_the_line_above():
    placed = _grid(neurons({"resid.0": 2, "mlp.1": 7, "resid.2": 1}), 3)
    assert placed["line"].tolist() == pytest.approx(
        [0, 0, 1.45, 1.45, 1.45, 2.45, 2.45, 2.45, 3.45, 4.9]
    )
    assert placed["column"].tolist() == [0, 1, 0, 1, 2, 0, 1, 2, 0, 0]


def test_without_a_class_colour_is_importance_from_zero():
    marker = neuron_map(neurons()).data[0].marker
    np.testing.assert_allclose(marker.color, neurons()["importance"])
    assert marker.cmin == 0


def test_with_a_class_colour_is_its_weight_around_zero():
    marker = neuron_map(neurons(), label="b").data[0].marker
    np.testing.assert_allclose(marker.color, neurons()["weight:b"])
    assert marker.cmin == -marker.cmax == -3.5


def test_the_picked_neuron_is_marked():
    squares, mark = neuron_map(neurons(), picked=6).data
    assert (mark.x[0], mark.y[0]) == (squares.x[6], squares.y[6])


def test_two_classes_colour_by_their_difference():
    figure = neuron_map(neurons(), label="a", against="b")
    table = neurons()
    marker = figure.data[0].marker
    np.testing.assert_allclose(marker.color, table["weight:a"] - table["weight:b"])
    assert marker.colorbar.title.text == "weight for a − for b"
    said = figure.data[0].hovertext[0]
    assert "weight +0.500 for a" in said and "weight −0.500 for b" in said


def test_a_bin_carries_its_strongest_neuron_and_its_site():
    bins = binned(chosen_neurons(neurons({"mlp.1": 3000, "resid.2": 7})), "a")
    strongest = addresses_of(bins)[0]
    squares, mark = bin_map(bins, label="a", row=0).data
    assert list(squares.customdata[0]) == [strongest, 1, "mlp"]
    assert len(squares.x) == len(bins) and len(mark.x) == 1
    assert "<b>mlp.1</b>, neurons 1 to" in squares.hovertext[0]
    ticks = layout(bin_map(bins)).yaxis.ticktext
    assert list(ticks) == ["mlp.1 (3,000)", "resid.2 (7)"]
    np.testing.assert_allclose(bin_map(bins).data[0].marker.color, bins["importance"])


def test_hover_escapes_class_names():
    said = neuron_map(neurons(), label="<i>c</i>").data[0].hovertext[0]
    assert "&lt;i&gt;c" in said and "<i>" not in said
    figure = neuron_map(neurons(), label="<i>c</i>")
    assert "<i>" not in figure.data[0].marker.colorbar.title.text


def test_an_empty_selection_is_an_empty_map():
    assert len(neuron_map(neurons().iloc[:0]).data[0].x) == 0


def test_a_neuron_of_several_poolings_is_one_point_of_use():
    table = pd.DataFrame(
        {
            "neuron": [0, 1, 2],
            "site": ["mlp.1", "mlp.1", "resid.2"],
            "index": [3, 3, 5],
            "pooling": ["max", "mean", "mean"],
            "readout": [0.2, 0.2, 0.1],
            "effect": [0.01, 0.01, 0.3],
        }
    )
    points, mark = usage_scatter(table, 2).data
    assert list(points.customdata) == ["mlp.1.3.max", "resid.2.5.mean"]
    assert list(points.x) == [0.2, 0.1]
    assert list(points.y) == [0.01, 0.3]
    assert (list(mark.x), list(mark.y)) == ([0.1], [0.3])
