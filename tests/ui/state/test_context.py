"""The context and the URL say the same; another run forgets the old one's places."""

import pytest

from ui.state.context import MOST_TYPED, Context, fits, query_key


def test_params_and_parse_are_inverse():
    full = Context(
        "r", 3, "0", 42, "spam & eggs", "ab12", "cd34", 2, 256, "mlp", "mean"
    )
    full = full._replace(split="test", slice="label=a%3Bb;wrong=1", other="s")
    full = full._replace(against="rice", pinned=41)
    full = full._replace(layers="cheaper", errors="slices", text="Rice & <b>beans</b>?")
    full = full._replace(score="auc", shown="selectivity", cost="flops_share")
    full = full._replace(order="alike", side="Correlated", find="a b", texts="wrong")
    full = full._replace(search="parcel", sweep="mine")
    assert None not in full
    assert Context(**Context.parse(full.params())) == full
    assert full.params()["class"] == "spam & eggs"
    assert Context().params() == {}


@pytest.mark.parametrize("wrong", ["", "-1", "1.5", "seven", "²"])
def test_a_number_that_is_none_is_left_out(wrong):
    assert Context.parse({"layer": wrong, "run": "r"}) == {"run": "r"}


def test_what_is_not_of_the_context_is_left_out():
    assert Context.parse({"embed": "true", "label": "x"}) == {}
    assert query_key("label") == "class" and query_key("run") == "run"


def test_moving_within_a_run_keeps_the_rest():
    here = Context(run="r", layer=3, neuron="mlp.1.7.max")
    assert here.moved(neuron="mlp.1.8.max") == Context(
        run="r", layer=3, neuron="mlp.1.8.max"
    )
    assert here.moved(run="r", layer=None) == Context(run="r", neuron="mlp.1.7.max")


def test_another_run_forgets_the_places_but_not_the_tables_and_the_tabs():
    here = Context(
        "r",
        layer=3,
        neuron="mlp.1.7.max",
        example=1,
        label="a",
        data="d",
        table="t",
        errors="e",
    )
    assert here.moved(run="s") == Context("s", data="d", table="t", errors="e")
    assert here.moved(run="s", layer=1).layer == 1


def test_a_typed_text_stays_with_every_run_until_an_example_is_chosen():
    here = Context("r", example=3).moved(text="Where is it?")
    assert here.example == 3 and here.moved(run="s") == Context("s", text=here.text)
    assert here.moved(neuron="1").text == here.text
    assert here.moved(example=4) == Context("r", example=4)
    assert here.up_to("example") == here and here.up_to("neuron") == Context("r")
    assert here.moved(example=4, text="Now?").text == "Now?"


def test_of_no_text_and_of_a_very_long_one_the_url_says_that_there_is_one():
    assert Context(text="").params() == {"text": ""}
    assert Context(text="x" * MOST_TYPED).params() == {"text": "x" * MOST_TYPED}
    assert Context("r", text="x" * (MOST_TYPED + 1)).params() == {
        "run": "r",
        "text": "",
    }
    assert fits("ж" * 333) and not fits("ж" * 334)  # six letters each in a URL


@pytest.mark.parametrize("text", ["", "Where is it?", "x" * (MOST_TYPED + 1)])
def test_its_own_url_is_no_move_but_a_link_without_the_text_ends_it(text):
    here = Context("r", layer=2, example=5, text=text)
    assert here.follow(here.params()) == here
    assert here.follow({"run": "r", "layer": "2", "example": "5"}) == here._replace(
        text=None
    )
    assert here.follow({**here.params(), "neuron": "3"}) == here._replace(neuron="3")
    assert here.follow({"run": "r", "example": "6", "layer": "2"}).example == 6


def test_a_link_up_goes_up_and_one_to_another_run_brings_what_it_names():
    here = Context("r", 3, "7", 42, label="a", data="d", kind="mlp", pooling="mean")
    above = here.up_to("layer")
    assert here.follow(above.params()) == above
    assert here.follow(here.up_to("run").params()) == here.up_to("run")
    there = Context("s", example=42, data="d")
    assert here._replace(text="a").follow(there.params()) == there
    assert here.follow({}) == here.up_to("run")


def test_going_up_forgets_what_is_deeper():
    here = Context("r", 3, "7", 42, label="a", kind="mlp", pooling="mean")
    assert here.up_to("example") == here
    assert here.up_to("neuron") == here._replace(example=None)
    layer = here.up_to("layer")
    assert layer == Context("r", 3, label="a", kind="mlp", pooling="mean")
    assert here.up_to("run") == Context("r", label="a")


def test_the_way_back_undoes_how_a_run_is_looked_at():
    before = Context("r", layer=2, slice="label=a")
    for change in (
        {"slice": "label=a;predicted=b"},
        {"depth": 4, "size": 256},
        {"score": "auc", "shown": "selectivity"},
        {"side": "Correlated", "order": "alike", "find": "parcel"},
        {"texts": "wrong", "search": "b", "split": "train", "pinned": 3},
    ):
        assert before.moved(**change).follow(before.params()) == before
    # An address of a page alone is no view of a run.
    assert before.follow({}).slice == "label=a"


def test_words_that_are_too_long_for_a_url_are_not_in_it():
    here = Context("r", find="word " * MOST_TYPED, search="b" * (MOST_TYPED + 1))
    assert here.params() == {"run": "r"}
    assert here.follow(here.params()) == here
