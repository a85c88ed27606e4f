"""The neuron map and the close-up of one neuron, whatever their number."""

import numpy as np
import pytest
from frames import CLASSES, layout, neurons

from stc_core.figures_neurons import (
    MOST,
    activation_rows,
    class_rows,
    grid,
    neuron_map,
    weight_bars,
)


def test_each_neuron_has_a_square_that_carries_it():
    squares, mark = neuron_map(neurons()).data
    assert squares.type == "scattergl"  # a heatmap's cells cannot be clicked
    assert [row[0] for row in squares.customdata] == list(range(10))
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
    placed = grid(neurons({"resid.0": 2, "mlp.1": 7, "resid.2": 1}), 3)
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


def test_of_very_many_neurons_the_most_important_are_drawn():
    many = neurons({"mlp.1": MOST, "mlp.2": 40})
    squares = neuron_map(many, picked=2).data[0]
    assert len(squares.x) == MOST
    drawn = {int(row[0]) for row in squares.customdata}
    assert drawn == set(many.nlargest(MOST, "importance")["neuron"])


def test_hover_escapes_class_names():
    said = neuron_map(neurons(), label="<i>c</i>").data[0].hovertext[0]
    assert "&lt;i&gt;c" in said and "<i>" not in said
    figure = neuron_map(neurons(), label="<i>c</i>")
    assert "<i>" not in figure.data[0].marker.colorbar.title.text


def test_an_empty_selection_is_an_empty_map():
    assert len(neuron_map(neurons().iloc[:0]).data[0].x) == 0


def test_weight_bars_are_signed_and_named():
    shown = class_rows({"a": -0.2, "b": 0.4, "<i>c</i>": 0.1})
    assert shown == ["b", "<i>c</i>", "a"]
    figure = weight_bars({"a": -0.2, "b": 0.4, "<i>c</i>": 0.1}, shown)
    bars = figure.data[0]
    assert dict(zip(bars.y, bars.x, strict=True)) == {2: 0.4, 1: 0.1, 0: -0.2}
    assert bars.marker.color[0] == bars.marker.color[1] != bars.marker.color[2]
    assert list(layout(figure).yaxis.ticktext) == ["b", "&lt;i&gt;c&lt;/i&gt;", "a"]


def test_of_many_classes_the_strongest_and_the_chosen_are_shown():
    weights = {f"c{k}": (-1) ** k * k / 100 for k in range(77)}
    shown = class_rows(weights, "c3", most=5)
    assert shown == ["c76", "c74", "c3", "c73", "c75"]
    assert class_rows(weights, most=4) == ["c76", "c74", "c73", "c75"]


@pytest.mark.parametrize("classes", [CLASSES[:2], CLASSES])
def test_activation_rows_count_every_text_of_a_class(classes):
    rng = np.random.default_rng(0)
    values, labels = rng.normal(size=300), rng.choice(CLASSES, size=300)
    figure = activation_rows(values, labels, classes)
    assert len(figure.data) == len(classes)
    for name, row in zip(classes, figure.data, strict=True):
        counts, _ = np.histogram(
            values[labels == name], bins=48, range=(values.min(), values.max())
        )
        np.testing.assert_allclose(row.y, 0.86 * counts / counts.max())
        assert f"of {(labels == name).sum()} texts" in row.hovertext[0]
        assert "<i>" not in row.hovertext[0]


def test_bars_and_rows_stand_side_by_side():
    weights = {"a": 1.0, "b": -1.0}
    bars = weight_bars(weights, ["a", "b"])
    rows = activation_rows(np.zeros(4), np.array(["a", "a", "b", "b"]), ["a", "b"])
    assert layout(bars).height == layout(rows).height
    assert layout(bars).yaxis.range == layout(rows).yaxis.range
    assert layout(bars).yaxis.ticktext == layout(rows).yaxis.ticktext


def test_a_class_with_no_text_and_equal_values_are_drawn():
    figure = activation_rows(np.ones(3), np.array(["a"] * 3), ["a", "b"])
    assert sum(figure.data[1].y) == 0
