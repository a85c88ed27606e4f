"""A click moves the context; an empty event moves nothing."""

import pytest

from ui.state.clicks import (
    click_cell,
    click_example,
    click_layer,
    click_neuron,
    click_option,
    click_place,
    click_run,
    clicked_level,
)
from ui.state.context import Context

HERE = Context(run="r", layer=2, neuron="5", example=7, label="a")


def chart(*customdata) -> dict:
    return {"selection": {"points": [{"customdata": list(customdata)}]}}


@pytest.mark.parametrize(
    "event", [{}, {"selection": {}}, {"selection": {"points": []}}]
)
@pytest.mark.parametrize(
    "click", [click_neuron, click_layer, click_option, click_run, click_cell]
)
def test_an_empty_event_moves_nothing(click, event):
    assert click(HERE, event) == HERE


def test_a_point_without_customdata_moves_nothing():
    event = {"selection": {"points": [{"x": 1, "y": 2}]}}
    assert click_neuron(HERE, event) == HERE
    assert click_layer(HERE, chart()) == HERE


def test_a_point_of_a_level_says_its_layer():
    assert clicked_level(chart(1, 4)) == (1, 4)
    assert clicked_level(chart()) is None and clicked_level({}) is None


def test_a_square_moves_to_its_neuron():
    assert click_neuron(HERE, chart("mlp.2.3.max")) == HERE._replace(
        neuron="mlp.2.3.max"
    )
    event = {"selection": {"points": [{"customdata": "mlp.2.3.max"}]}}
    assert click_neuron(HERE, event).neuron == "mlp.2.3.max"


def test_a_point_moves_to_its_layer():
    assert click_layer(HERE, chart(0)) == HERE._replace(layer=0)
    there = HERE._replace(layer=4, kind="mlp", pooling="mean")
    assert click_layer(HERE, chart(4, "mlp", "mean")) == there
    assert click_layer(there, chart(2)) == there._replace(layer=2)


def test_a_cell_moves_to_the_texts_that_are_taken_so():
    here = HERE._replace(slice="length=0-9;wrong=1;label=a")
    cell = click_cell(here, chart("b;", "c"))
    assert cell == HERE._replace(slice="length=0-9;label=b%3B;predicted=c")
    assert click_cell(cell, chart(None, "a")).slice == "length=0-9;predicted=a"
    assert click_cell(HERE, chart("a", None)).slice == "label=a"


def test_a_table_row_moves_to_its_example():
    event = {"selection": {"rows": [1], "columns": []}}
    assert click_example(HERE, event, [40, 41, 42]) == HERE._replace(example=41)


@pytest.mark.parametrize("rows", [[], [9]])
def test_no_row_or_one_that_was_filtered_away_moves_nothing(rows):
    assert click_example(HERE, {"selection": {"rows": rows}}, [40, 41]) == HERE


def test_the_tick_that_a_table_shows_by_itself_ends_no_typed_text():
    typing = HERE._replace(text="")
    event = {"selection": {"rows": [1]}}
    assert click_example(typing, event, [6, 7]) == typing
    assert click_example(typing, event, [7, 8]) == HERE._replace(example=8)


def test_a_point_of_the_frontier_moves_both_dials():
    assert click_option(HERE, chart(3, 256)) == HERE._replace(depth=3, size=256)


def test_a_run_is_compared_with_but_not_with_itself():
    assert click_run(HERE, chart("s")) == HERE._replace(other="s")
    assert click_run(HERE, chart("r")) == HERE


def test_a_square_of_many_goes_down_to_their_site():
    assert click_neuron(HERE, chart("mlp.6.3.max", 6, "mlp")) == HERE._replace(
        neuron="mlp.6.3.max", layer=6, kind="mlp"
    )


def test_a_row_of_places_moves_there():
    places = [{"neuron": "a"}, {"run": "s", "neuron": "b"}]
    assert click_place(HERE, {"selection": {"rows": [0]}}, places).neuron == "a"
    there = click_place(HERE, {"selection": {"rows": [1]}}, places)
    assert there == Context(run="s", neuron="b")
    for event in ({}, {"selection": {"rows": []}}, {"selection": {"rows": [2]}}):
        assert click_place(HERE, event, places) == HERE
