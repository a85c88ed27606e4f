"""The room that a figure leaves for its axes."""

import pandas as pd
import plotly.graph_objects as go
import pytest
from plotly.subplots import make_subplots

from helpers.frames import layout
from stc_core.figures.hierarchy import tree_figure
from stc_core.figures.margins import below, left_of, text_width
from stc_core.figures.style import one_line, settle
from stc_core.figures.tuning import training_curves

# What Chromium measures in the app's font at 12 pixels.
MEASURED = {
    "product_question": 89.8,
    "layer 6 (146 neurons)": 104.3,
    "mlp.6 (2,420)": 65.0,
    "100%": 27.8,
    "WWW": 28.3,
    "Returns & refunds": 89.2,
    "ILLINOIS": 43.3,
}


@pytest.mark.parametrize("text", MEASURED)
def test_a_width_is_rather_too_large(text: str):
    assert MEASURED[text] <= text_width(text) <= 1.2 * MEASURED[text]


def test_a_letter_of_other_scripts_is_a_square():
    assert text_width("中文") == pytest.approx(24)
    assert text_width("") == 0


def bars(**axes: object) -> go.Figure:
    return go.Figure([{"type": "bar"}], axes)


def test_long_labels_and_a_title_get_more_room():
    few, many = (bars(yaxis={"ticktext": ["a" * n]}) for n in (3, 30))
    assert left_of(many) - left_of(few) == round(27 * text_width("a"))
    titled = bars(yaxis={"ticktext": ["aaa"], "title": "label"})
    assert left_of(titled) > left_of(few) + 20
    apart = {"text": "label", "standoff": 60}
    assert left_of(bars(yaxis={"ticktext": ["aaa"], "title": apart})) > left_of(titled)


def test_an_entity_is_as_wide_as_its_letter():
    names = ["<<<<", one_line("<<<<"), "&", one_line("&")]
    lefts = [left_of(bars(yaxis={"ticktext": [name]})) for name in names]
    assert lefts[0] == lefts[1] and lefts[2] == lefts[3]


def test_shares_are_as_wide_as_the_largest():
    assert left_of(bars(yaxis={"tickformat": ".0%"})) >= MEASURED["100%"]


def test_the_widest_of_several_axes_counts():
    figure = make_subplots(rows=2, cols=1)
    figure.update_layout(yaxis={"ticktext": ["a"]}, yaxis2={"ticktext": ["a" * 40]})
    assert left_of(figure) == left_of(bars(yaxis={"ticktext": ["a" * 40]}))


def test_an_axis_that_is_not_shown_takes_nothing():
    hidden = bars(xaxis={"visible": False}, yaxis={"visible": False})
    assert left_of(hidden) == below(hidden) == 8
    assert below(bars(xaxis={"side": "top", "title": "predicted"})) == 8
    assert below(bars(xaxis={"title": "layer"})) > below(bars()) > 8


def test_axes_are_told_of_before_the_room_is_measured():
    nodes = pd.DataFrame(
        {
            "id": ["a"],
            "parent": [""],
            "label": ["a"],
            "level": [1],
            "rows": [3],
            "tested": [2],
            "accuracy": [0.5],
        }
    )
    history = {
        "steps": [(0.5, 1.0)],
        "epochs": [{"epoch": 1, "loss": 1.0, "accuracy": 0.5}],
    }
    for figure in (tree_figure(nodes, root="all"), training_curves(history)):
        assert layout(figure).margin.l == left_of(figure)
    assert layout(figure).margin.b == below(figure)


def test_settled_figures_have_these_margins():
    figure = settle(bars(), height=300, yaxis={"ticktext": ["a" * 9]}, xaxis={})
    margin = layout(figure).margin
    assert (margin.l, margin.b) == (left_of(figure), below(figure))
    assert layout(settle(bars(), height=300, bottom=110)).margin.b == 110
