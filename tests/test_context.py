"""The context and the URL say the same; another run forgets the old one's places."""

import pytest

from stc_core.context import MOST_TYPED, Context, query_key


def test_params_and_parse_are_inverse():
    full = Context("r", 3, 0, 42, "spam & eggs", "ab12", "cd34", 2, 256, "mlp", "mean")
    full = full._replace(split="test", slice="label=a%3Bb;wrong=1", other="s")
    full = full._replace(against="rice", pinned=41)
    full = full._replace(layers="cheaper", errors="slices", text="Rice & <b>beans</b>?")
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
    here = Context(run="r", layer=3, neuron=7)
    assert here.moved(neuron=8) == Context(run="r", layer=3, neuron=8)
    assert here.moved(run="r", layer=None) == Context(run="r", neuron=7)


def test_another_run_forgets_the_places_but_not_the_tables_and_the_tabs():
    here = Context(
        "r", layer=3, neuron=7, example=1, label="a", data="d", table="t", errors="e"
    )
    assert here.moved(run="s") == Context("s", data="d", table="t", errors="e")
    assert here.moved(run="s", layer=1).layer == 1


def test_a_typed_text_stays_with_every_run_until_an_example_is_chosen():
    here = Context("r", example=3).moved(text="Where is it?")
    assert here.example == 3 and here.moved(run="s") == Context("s", text=here.text)
    assert here.moved(neuron=1).text == here.text
    assert here.moved(example=4) == Context("r", example=4)
    assert here.up_to("example") == here and here.up_to("neuron") == Context("r")
    assert here.moved(example=4, text="Now?").text == "Now?"


def test_no_text_and_a_very_long_one_are_not_in_the_url():
    assert Context(text="").params() == {}
    assert Context(text="x" * MOST_TYPED).params() == {"text": "x" * MOST_TYPED}
    assert Context("r", text="x" * (MOST_TYPED + 1)).params() == {"run": "r"}


def test_going_up_forgets_what_is_deeper():
    here = Context("r", 3, 7, 42, label="a", kind="mlp", pooling="mean")
    assert here.up_to("example") == here
    assert here.up_to("neuron") == here._replace(example=None)
    layer = here.up_to("layer")
    assert layer == Context("r", 3, label="a", kind="mlp", pooling="mean")
    assert here.up_to("run") == Context("r", label="a")
