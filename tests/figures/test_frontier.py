"""The frontier chart: every option at its cost, the undominated ones joined."""

import numpy as np
import pandas as pd
import pytest

from helpers.frames import layout, options
from stc_core.figures.frontier import COSTS, FrontierPlace, frontier, undominated


@pytest.mark.parametrize("cost", COSTS)
def test_every_option_is_a_point_that_carries_its_place(cost):
    points = frontier(options(), cost).data[1]
    assert [tuple(row) for row in points.customdata] == [
        (0, 8), (0, 32), (1, 8), (1, 32), (2, 8), (2, 32),
    ]  # fmt: skip
    np.testing.assert_allclose(points.x, options()[cost])
    np.testing.assert_allclose(points.y, options()["accuracy"])


def test_the_line_rises_and_no_cheaper_option_is_above_it():
    line = undominated(options(), "ms_per_text", "accuracy")
    assert list(zip(line["layer"], line["neurons"], strict=True)) == [
        (0, 32), (1, 32), (2, 32),
    ]  # fmt: skip
    worse = options().assign(accuracy=[0.5, 0.6, 0.5, 0.55, 0.5, 0.7])
    assert undominated(worse, "parameters", "accuracy")["layer"].tolist() == [0, 2]


def test_the_run_s_own_option_is_marked():
    figure = frontier(options())
    marked = next(t for t in figure.data if t.text and "this run" in t.text)
    assert [tuple(row) for row in marked.customdata] == [(2, 32)]


@pytest.mark.parametrize(("metric", "bar"), [("accuracy", 0.05), ("macro_f1", None)])
def test_the_picked_option_has_its_interval(metric, bar):
    ring = frontier(options(), metric=metric, picked=FrontierPlace(1, 32)).data[-1]
    assert (list(ring.x), ring.marker.symbol) == ([10.0], "circle-open")
    if bar is None:
        assert ring.error_y.array is None
    else:
        np.testing.assert_allclose(ring.error_y.array, [bar])


def test_more_neurons_are_darker_and_hover_tells_all():
    points = frontier(options()).data[1]
    few, many = points.marker.color[:2]
    assert float(few.split(",")[-1][:-1]) < float(many.split(",")[-1][:-1])
    assert "<b>32 neurons, up to layer 2</b>" in points.hovertext[-1]
    assert "15.0 ms per text" in points.hovertext[-1]
    assert layout(frontier(options(), "parameters")).xaxis.title.text.startswith(
        "param"
    )


def test_of_many_depths_some_are_named():
    one = options().iloc[[0]]
    many = pd.concat(
        [one.assign(deepest=k, layer=k, ms_per_text=k + 1) for k in range(60)],
        ignore_index=True,
    )
    found = layout(frontier(many)).annotations
    names = [one.text for one in found]
    assert names[:3] == ["layer 0", "5", "8"]
    apart = np.diff([one.x for one in found])
    assert apart.min() > 59 / 26 and apart.max() < 6


def test_depths_of_one_cost_have_one_name():
    alike = pd.concat(
        [options().iloc[[0]].assign(deepest=k, layer=k) for k in range(3)]
    )
    assert [one.text for one in layout(frontier(alike)).annotations] == ["layer 0"]


@pytest.mark.parametrize(("gap", "form"), [(0.3, ".0%"), (0.02, ".1%"), (0.0, ".2%")])
def test_no_two_ticks_of_a_narrow_axis_are_the_same(gap, form):
    some = options()
    some["accuracy"] = np.linspace(0.9 - gap, 0.9, len(some))
    assert layout(frontier(some)).yaxis.tickformat == form
