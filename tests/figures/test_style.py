"""Colours that read on both pages, text that stays text, the shared layout."""

import itertools

import pandas as pd
import plotly.graph_objects as go
import pytest
from plotly.subplots import make_subplots

from helpers.colours import contrast
from helpers.frames import layout
from stc_core.figures.style import (
    ACTIVE,
    AGAINST,
    FOR,
    MARK,
    PALETTE,
    Colour,
    diverging_scale,
    interval_bars,
    lay,
    lay_axes,
    layer_axis,
    one_line,
    outlines,
    row_axis,
    row_bars,
    sequential_scale,
    settle,
    short_names,
    signed,
    thin,
)
from stc_core.frames import records

PAGES = {"light": (255, 255, 255), "dark": (17, 22, 29)}


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("colour", [*map(rgb, (*PALETTE, MARK)), FOR, AGAINST, ACTIVE])
def test_colours_stand_out_from_either_page(colour, page):
    assert contrast(colour, PAGES[page]) > 2.5


def test_ink_reads_on_every_colour():
    for step in range(0, 256, 5):
        for colour in (Colour(step, step, step), Colour(step, 140, 117)):
            assert contrast(colour, rgb(colour.ink)) > 4.2


def test_luminance_is_that_of_the_standard():
    assert Colour(255, 255, 255).luminance == pytest.approx(1)
    assert Colour(0, 0, 0).luminance == 0
    assert Colour(255, 0, 0).luminance == pytest.approx(0.2126)


def test_the_palette_has_no_colour_twice():
    pairs = itertools.combinations([rgb(colour) for colour in PALETTE], 2)
    assert (
        min(sum(abs(a - b) for a, b in zip(*pair, strict=True)) for pair in pairs) > 60
    )


def test_for_is_blue_and_against_is_orange():
    assert signed(0.1) == signed(0.0) == Colour(*FOR)
    assert signed(-0.1) == Colour(*AGAINST)
    assert FOR[2] > FOR[0] and AGAINST[0] > AGAINST[2]


def test_zero_fades_into_the_page():
    assert "0.16)" in diverging_scale()[2][1]
    assert diverging_scale()[0][1] == Colour(*AGAINST).css()
    assert diverging_scale()[-1][1] == Colour(*FOR).css()
    assert "0.120)" in sequential_scale()[0][1]


def test_a_colour_can_be_thin():
    assert thin("#0102FF", 0.25) == "rgba(1, 2, 255, 0.250)"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<b>a</b> & b", "&lt;b&gt;a&lt;/b&gt; &amp; b"),
        ("two\nlines", "two lines"),
        ("x" * 40, "x" * 33 + "…"),
        (3, "3"),
    ],
)
def test_plain_text_is_shown_letter_for_letter(text, shown):
    assert one_line(text) == shown


def test_records_are_rows_by_name():
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    assert records(frame) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def test_figures_have_no_background_of_their_own():
    figure = settle(go.Figure(), height=300, xaxis={"title": "x"})
    assert (
        layout(figure).paper_bgcolor
        == layout(figure).plot_bgcolor
        == "rgba(0, 0, 0, 0)"
    )
    assert layout(figure).height == 300
    assert layout(figure).xaxis.title.text == "x"


def test_a_layout_is_that_of_plotly_s_own_update():
    def figure() -> go.Figure:
        made = make_subplots(rows=2, cols=1)
        made.add_annotation(text="a", x=1, y=1)
        made.layout["xaxis"]["title"] = "before"
        return made

    ours, theirs = figure(), figure()
    lay(ours, height=300, legend={"x": 0}, xaxis2={"title": "b", "range": [0, 1]})
    lay_axes(ours, "x", zeroline=False)
    lay_axes(ours, "y", automargin=True)
    theirs.update_layout(
        height=300, legend={"x": 0}, xaxis2={"title": "b", "range": [0, 1]}
    )
    theirs.update_xaxes(zeroline=False)
    theirs.update_yaxes(automargin=True)
    assert ours.to_dict() == theirs.to_dict()
    assert ours.layout["yaxis2"]["automargin"]
    assert ours.layout["xaxis"]["title"]["text"] == "before"


def test_rows_and_their_names_have_the_same_heights():
    bars = row_bars([0.5, -1.0, 2.0], texts=["a", "b", "c"], hovers=["x", "y", "z"])
    axis = row_axis(["first", "second", "third"])
    assert bars["y"] == axis["tickvals"] == [2, 1, 0]
    assert axis["ticktext"][axis["tickvals"].index(max(bars["y"]))] == "first"


def test_bars_of_an_interval_reach_its_ends():
    table = pd.DataFrame({"f1": [0.5, 0.75], "low": [0.25, 0.5], "high": [1.0, 0.75]})
    bars = interval_bars(table, "f1", "low", "high", width=4)
    assert bars["array"].tolist() == [0.5, 0.0]
    assert bars["arrayminus"].tolist() == [0.25, 0.25]
    assert bars["width"] == 4 and not bars["symmetric"]


def test_an_outline_does_not_hide_what_is_under_it():
    trace = outlines([1], [2], size=20, colour=MARK, type="scattergl")
    assert trace["hoverinfo"] == "skip" and trace["type"] == "scattergl"
    assert trace["marker"]["symbol"].endswith("-open")


def test_an_axis_of_layers_has_a_tick_at_each():
    assert layer_axis(range(3))["tickvals"] == [0, 1, 2]
    assert layer_axis([1, 4], title="layer")["title"] == "layer"


def test_names_that_would_be_cut_alike_stay_different():
    names = ["Balance not updated after a cheque", "Balance not updated after a bank"]
    short = short_names([*names, "Card"], 16)
    assert len(set(short)) == 3 and max(map(len, short)) <= 16
    assert short[0].endswith("cheque") and short[2] == "Card"


def test_names_that_differ_in_the_middle_alone_are_numbered():
    short = short_names([f"{'a' * 20}{digit}{'b' * 20}" for digit in "123"], 16)
    assert len(set(short)) == 3 and short[2].endswith(" (3)")
