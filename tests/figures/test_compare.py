"""Figures of runs against each other: what they draw, carry and leave out."""

import numpy as np
import pandas as pd
import pytest

from helpers.frames import layout
from helpers.run_cards import made
from stc_core.analysis.run_cards import card_table
from stc_core.figures.compare import (
    MOST_CLASSES,
    OTHER,
    PRICES,
    THIS,
    _log_ticks,
    class_difference_bars,
    overlap_bars,
    runs_scatter,
)
from stc_core.interpret.neuron_overlap import agreement

CARDS = card_table([made(name="<b>x</b>"), made("s", method="spin"), made("t", seed=1)])


@pytest.mark.parametrize("price", PRICES)
def test_each_run_is_a_point_that_carries_it(price):
    figure = runs_scatter(CARDS, price, run="r", other="s")
    points = [trace for trace in figure.data if trace.customdata is not None]
    carried = [custom[0] for trace in points for custom in trace.customdata]
    assert sorted(carried) == ["r", "s", "t"]
    assert {trace.name for trace in points} == {"mini · spin", "mini · stc"}
    known = CARDS.set_index("run")[price]
    for trace in points:
        runs = [custom[0] for custom in trace.customdata]
        np.testing.assert_array_equal(trace.x, known[runs])
        np.testing.assert_allclose(trace.error_y["array"], 0.1)


def test_two_runs_are_named_and_a_missing_one_is_not():
    both = runs_scatter(CARDS, run="r", other="s").data
    assert [trace.text[0] for trace in both if trace.text] == ["this run", "the other"]
    alone = runs_scatter(CARDS, run="r", other="gone").data
    assert [trace.text[0] for trace in alone if trace.text] == ["this run"]


def test_a_name_is_shown_letter_for_letter():
    hovers = [h for t in runs_scatter(CARDS, run="r").data for h in t.hovertext or ()]
    assert any("&lt;b&gt;x&lt;/b&gt;" in hover for hover in hovers)


def differences(n: int) -> pd.DataFrame:
    value = np.linspace(0.3, -0.3, n)
    return pd.DataFrame(
        {
            "label": [f"c{i}" for i in range(n)],
            "n": 5,
            "f1_a": 0.5,
            "f1_b": 0.5 + value,
            "difference": value,
            "low": value - 0.1,
            "high": value + 0.1,
        }
    )


def test_bars_point_to_the_better_run_and_are_faint_in_doubt():
    bars = class_difference_bars(differences(3)).data[0]
    one, two, three = bars.marker.color
    assert one.startswith("rgba(27, 132, 198") and OTHER == "#1B84C6"
    assert three.startswith("rgba(217, 84, 30") and THIS == "#D9541E"
    assert [float(c.split()[-1][:-1]) for c in (one, two, three)] == [0.95, 0.4, 0.95]


def test_of_many_classes_those_that_differ_most():
    figure = class_difference_bars(differences(99))
    shown = layout(figure).yaxis.ticktext
    assert len(shown) == MOST_CLASSES
    assert shown[0] == "c0" and shown[-1] == "c98" and "c49" not in shown


def test_overlap_stands_beside_chance():
    fixed = {"site": "mlp.1", "layer": 1, "pooling": "max"}
    chosen = pd.DataFrame({**fixed, "index": range(4)})
    layers = agreement(chosen, chosen, {"mlp.1": 16})
    bars, chance = overlap_bars(layers).data
    assert list(bars.y) == [4] and list(chance.y) == [1]
    assert "by chance 1.0" in bars.hovertext[0]
    unknown = overlap_bars(agreement(chosen, chosen, {})).data[0]
    assert "chance" not in unknown.hovertext[0]


@pytest.mark.parametrize(
    "values", [(512, 724), (700, 700), (1, 10), (30, 9e5), (2.1e7, 2.1e7), (3.1, 3.2)]
)
def test_an_axis_has_two_ticks_or_more_and_not_very_many(values):
    found = _log_ticks(np.array(values, float))
    first, last = found["range"]
    assert all(first <= np.log10(tick) <= last for tick in found["tickvals"])
    assert 2 <= len(found["tickvals"]) <= 8
    assert len(set(found["ticktext"])) == len(found["ticktext"])
