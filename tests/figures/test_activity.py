"""One neuron from close by: weights by class, and activations by class."""

import numpy as np
import pytest

from helpers.frames import CLASSES, layout, traces
from stc_core.figures.activity import (
    FEW,
    activation_rows,
    class_rows,
    density_rows,
    effect_dots,
    weight_bars,
)


def test_weight_bars_are_signed_and_named():
    shown = class_rows({"a": -0.2, "b": 0.4, "<i>c</i>": 0.1})
    assert shown == ["b", "<i>c</i>", "a"]
    figure = weight_bars({"a": -0.2, "b": 0.4, "<i>c</i>": 0.1}, shown)
    bars = traces(figure)[0]
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
    assert len(traces(figure)) == len(classes)
    for name, row in zip(classes, traces(figure), strict=True):
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
    assert sum(traces(figure)[1].y) == 0


RNG = np.random.default_rng(1)
LABELS = np.array(["a"] * 400 + ["b"] * (FEW - 1) + ["<i>c</i>"] * 40)
VALUES = np.concatenate(
    [RNG.normal(3, 1, 400), RNG.normal(0, 1, FEW - 1), np.full(40, 2.0)]
)


def test_a_density_has_its_peak_where_the_values_are():
    curve = traces(density_rows(VALUES, LABELS, CLASSES))[0]
    x, y = np.array(curve.x[1:-1]), np.array(curve.y[1:-1]) - 2 + 0.4
    assert abs(x[y.argmax()] - 3) < 0.6
    assert y.max() == pytest.approx(0.86)
    mine = VALUES[LABELS == "a"]
    assert x.min() >= mine.min() and x.max() <= mine.max()
    assert "a: 400 texts, median" in curve.hovertext
    medians = traces(density_rows(VALUES, LABELS, CLASSES))[-1]
    assert list(medians.x) == [np.median(mine)]


def test_a_density_is_that_of_scipy():
    from scipy.stats import gaussian_kde

    mine = VALUES[LABELS == "a"]
    curve = traces(density_rows(VALUES, LABELS, CLASSES))[0]
    x, y = np.array(curve.x[1:-1]), (np.array(curve.y[1:-1]) - 2 + 0.4) / 0.86
    low, high = np.quantile(mine, (0.25, 0.75))
    width = 0.9 * min(mine.std(), (high - low) / 1.34) * len(mine) ** -0.2
    expected = gaussian_kde(mine, width / mine.std(ddof=1))(x)
    np.testing.assert_allclose(y, expected / expected.max(), atol=0.03)


def test_few_texts_and_one_value_are_drawn_text_by_text():
    _, few, same, _ = traces(density_rows(VALUES, LABELS, CLASSES))
    assert few.mode == same.mode == "markers"
    np.testing.assert_allclose(few.x, np.sort(VALUES[LABELS == "b"]))
    assert list(same.x) == [2.0]
    assert "of 40 texts" in same.hovertext[0] and "<i>" not in same.hovertext[0]


def test_a_class_with_no_text_is_an_empty_row():
    found = traces(density_rows(VALUES, LABELS, ["a", "none"]))[1]
    assert len(found.x) == 0


@pytest.mark.parametrize("draw", [activation_rows, density_rows])
def test_marks_are_lines_with_their_names(draw):
    figure = draw(VALUES, LABELS, CLASSES, marks={"<b>text 3": 1.25})
    lines = [shape for shape in layout(figure).shapes if shape.line.dash == "dot"]
    assert [line.x0 for line in lines] == [1.25]
    assert layout(figure).annotations[0].text == "&lt;b&gt;text 3"


def test_each_reader_has_a_row_with_its_change_and_its_random_sets():
    changes = {"this classifier": 0.3, "last layer": 0.1}
    random = {"this classifier": (0.1, 0.2), "last layer": (0.15,)}
    others, ours = effect_dots(changes, random, "this neuron").data
    assert list(ours.x) == [0.3, 0.1]
    assert list(ours.text) == ["0.300", "0.100"]
    assert list(others.x) == [0.1, 0.2, 0.15]
    first, second = ours.y
    assert list(others.y) == [first, first, second] and first != second
    assert (others.name, ours.name) == ("random sets", "this neuron")


def test_without_random_sets_only_the_changes_are_drawn():
    others, ours = effect_dots({"last layer": 0.2}, {}).data
    assert not len(others.x) and list(ours.x) == [0.2]
