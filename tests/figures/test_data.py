"""The figures of the data and the result show the numbers that they are given."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest

from helpers.app import METRICS
from stc_core.data.statistics import class_balance, length_histogram
from stc_core.display import OURS
from stc_core.figures.data import (
    MAX_BARS,
    class_bars,
    length_bars,
    result_dots,
    result_table,
)
from stc_core.figures.style import PALETTE


def layout_of(figure) -> Any:
    """The layout, whose attributes Plotly makes while running."""
    return figure.layout


def drawn(figure: go.Figure) -> list[Any]:
    """The traces of a figure."""
    return list(figure["data"])  # pyright: ignore[reportArgumentType]


def corpus(labels: list[str]) -> pd.DataFrame:
    splits = ["train", "validation", "test"]
    return pd.DataFrame(
        {
            "text": ["word " * (1 + i % 7) for i in range(len(labels))],
            "label": labels,
            "split": [splits[i % 3] for i in range(len(labels))],
        }
    )


def test_class_bars_hold_every_row_once():
    frame = corpus(["big"] * 9 + ["small"] * 3)
    figure = class_bars(class_balance(frame))
    assert [bar.name for bar in drawn(figure)] == ["train", "validation", "test"]
    assert list(drawn(figure)[0].y) == ["big", "small"]
    assert sum(sum(bar.x) for bar in drawn(figure)) == len(frame)


def test_every_split_has_its_own_colour_of_the_palette():
    frame = corpus(["big"] * 9 + ["small"] * 3)
    for figure in (
        class_bars(class_balance(frame)),
        length_bars(length_histogram(frame)),
    ):
        colours = {bar.name: bar.marker.color for bar in drawn(figure)}
        assert len(set(colours.values())) == 3 and set(colours.values()) <= {*PALETTE}


def test_many_classes_show_both_ends():
    frame = corpus([f"class {i}" for i in range(100) for _ in range(100 - i)])
    bar = drawn(class_bars(class_balance(frame)))[0]
    assert len(bar.y) == MAX_BARS + 1
    assert bar.y[0] == "class 0" and bar.y[-1] == "class 99"
    assert f"{100 - MAX_BARS} classes between" in bar.y[MAX_BARS // 2]


def test_a_class_name_is_text_and_not_html():
    bar = drawn(class_bars(class_balance(corpus(["<b>bold</b>"] * 3))))[0]
    assert bar.y[0] == "&lt;b&gt;bold&lt;/b&gt;"
    assert "<b>" not in bar.customdata[0]


@pytest.mark.parametrize("unit", ["words", "characters"])
def test_length_bars_hold_every_text_once(unit):
    frame = corpus(["a"] * 50)
    figure = length_bars(length_histogram(frame, unit=unit), unit=unit)
    assert sum(sum(bar.y) for bar in drawn(figure)) == 50
    assert unit in layout_of(figure).xaxis.title.text


def test_length_bars_name_their_span():
    bins = length_histogram(corpus(["a"] * 50))
    assert drawn(length_bars(bins))[0].customdata[1] == "1 word"


@pytest.mark.parametrize(
    ("layer", "name"), [(6, "Last layer, dense"), (3, "Layer 3, dense")]
)
def test_the_last_layer_is_called_so_only_where_it_is_the_last(layer, name):
    """Of 6; with --max-layer the last that is read is another."""
    last = {**METRICS["baselines"]["last_layer"], "layer": layer}
    baselines = {**METRICS["baselines"], "last_layer": last}
    table = result_table(METRICS | {"baselines": baselines})
    assert name in set(table["name"]) and len(table) == 4


def test_result_table_is_sorted_and_complete():
    table = result_table(METRICS)
    assert table["accuracy"].tolist() == [0.874, 0.842, 0.81, 0.22]
    assert table["name"].tolist()[0] == OURS
    assert table["ours"].tolist() == [True] + 3 * [False]
    assert table["detail"].tolist()[1] == "resid.6.mean"


def test_result_dots_show_intervals_and_name_what_is_far_off():
    figure = result_dots(result_table(METRICS))
    ours = drawn(figure)[0]
    assert list(ours.x) == [0.874]
    assert ours.error_x.array[0] == pytest.approx(0.893 - 0.874)
    assert ours.error_x.arrayminus[0] == pytest.approx(0.874 - 0.851)
    assert layout_of(figure).xaxis.range[0] == pytest.approx(0.74)
    assert [note.text for note in layout_of(figure).annotations] == ["◂ 22.0%"]


def test_result_dots_keep_the_worst_row_when_it_is_near():
    metrics = METRICS | {"baselines": {"tfidf": METRICS["baselines"]["tfidf"]}}
    figure = result_dots(result_table(metrics))
    assert not layout_of(figure).annotations
    assert layout_of(figure).xaxis.range[0] < 0.78
