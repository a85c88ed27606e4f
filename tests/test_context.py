"""The context and the URL say the same; another run forgets the old one's places."""

import pytest

from stc_core.context import Context, query_key


def test_params_and_parse_are_inverse():
    full = Context("r", 3, 0, 42, "spam & eggs", "ab12", "cd34", 2, 256)
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


def test_another_run_forgets_the_places_but_not_the_tables():
    here = Context(
        run="r", layer=3, neuron=7, example=1, label="a", data="d", table="t"
    )
    assert here.moved(run="s") == Context(run="s", data="d", table="t")
    assert here.moved(run="s", layer=1).layer == 1
