"""The frame of the selected neurons: names, filters, order."""

import pytest
from frames import CLASSES, neurons

from stc_core.neurons import (
    chosen_neurons,
    classes_of,
    names_of,
    neighbour,
    neuron_name,
    one_of,
    weights_of,
)


def test_classes_come_from_the_weight_columns():
    assert classes_of(neurons()) == list(CLASSES)


def test_a_neuron_is_named_by_site_index_and_pooling():
    assert neuron_name(one_of(neurons(), 5)) == "mlp.2 #50 · max"
    assert names_of(neurons())[5] == "mlp.2 #50 · max"
    assert list(names_of(neurons())) == list(range(10))


def test_weights_are_by_class():
    assert weights_of(one_of(neurons(), 3)) == pytest.approx(
        {"a": -0.5, "b": 0.5, "<i>c</i>": 0.3}
    )


def test_no_filter_keeps_all_in_layers_by_importance():
    found = chosen_neurons(neurons())
    assert len(found) == 10
    assert found["layer"].is_monotonic_increasing
    for _, site in found.groupby("site"):
        assert site["importance"].is_monotonic_decreasing


def test_filters_are_joined():
    found = chosen_neurons(neurons(), kind="mlp", pooling="mean", layer=2)
    assert found["neuron"].tolist() == [6, 8]
    assert chosen_neurons(neurons(), kind="mlp", layer=0).empty


def test_order_by_the_weight_of_a_class():
    found = chosen_neurons(neurons(), label="b", order="weight", kind="mlp")
    assert found["weight:b"].is_monotonic_decreasing
    assert found["neuron"].tolist() == [9, 8, 7, 6, 5]


def test_order_by_weight_needs_a_class():
    by_weight = chosen_neurons(neurons(), order="weight")
    assert by_weight.equals(chosen_neurons(neurons()))


@pytest.mark.parametrize(
    ("neuron", "step", "there"),
    [(4, 1, 7), (4, -1, 2), (7, 1, None), (2, -1, None), (99, 1, None)],
)
def test_neighbours_follow_the_order_shown(neuron, step, there):
    assert neighbour([2, 4, 7], neuron, step) == there
