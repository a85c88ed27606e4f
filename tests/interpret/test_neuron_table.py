"""The frame of the selected neurons: names, filters, order."""

import numpy as np
import pytest

from helpers.frames import CLASSES, neurons
from stc_core.interpret.neuron_table import (
    MOST_BINS,
    alike_ranks,
    bin_of,
    binned,
    chosen_neurons,
    classes_of,
    neuron_name,
    neuron_names,
    one_of,
    page_of,
    strength,
    strongest_weight,
    weights_of,
)


def test_classes_come_from_the_weight_columns():
    assert classes_of(neurons()) == list(CLASSES)


def test_a_neuron_is_named_by_site_index_and_pooling():
    assert neuron_name(one_of(neurons(), 5)) == "mlp.2 #50 · max"
    assert neuron_names(neurons())[5] == "mlp.2 #50 · max"
    assert list(neuron_names(neurons())) == list(range(10))


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


def test_alike_neurons_stand_side_by_side_in_their_site():
    table = neurons({"mlp.1": 40, "resid.2": 2})
    sign = np.where(np.arange(42) % 2, 1.0, -1.0)
    for name in CLASSES:
        table[f"weight:{name}"] = sign * (1 + np.arange(42) / 42)
    found = chosen_neurons(table, order="alike")
    assert found["site"].tolist() == ["mlp.1"] * 40 + ["resid.2"] * 2
    signs = np.sign(found["weight:a"].to_numpy()[:40])
    assert np.count_nonzero(np.diff(signs)) == 1


def test_ranks_that_are_known_are_not_found_again():
    table = neurons()
    ranks = np.arange(len(table))[::-1].copy()
    found = chosen_neurons(table, kind="mlp", order="alike", ranks=ranks)
    assert found["neuron"].tolist() == [9, 8, 7, 6, 5]
    again = chosen_neurons(table, order="alike", ranks=alike_ranks(table))
    assert again.equals(chosen_neurons(table, order="alike"))


def test_two_classes_are_compared_by_their_difference():
    table = neurons()
    found = strength(table, "a", "b")
    np.testing.assert_allclose(found, table["weight:a"] - table["weight:b"])
    order = chosen_neurons(table, label="a", against="b", order="weight", kind="mlp")
    assert order["neuron"].tolist() == [5, 6, 7, 8, 9]
    np.testing.assert_allclose(strength(table), table["importance"])


def test_the_strongest_weight_may_be_against():
    assert strongest_weight(one_of(neurons(), 9)) == ("a", -3.5)


@pytest.mark.parametrize(("label", "against"), [(None, None), ("a", None), ("a", "b")])
def test_bins_hold_every_neuron_of_a_site_once(label, against):
    many = neurons({"mlp.1": 3000, "resid.2": 7, "mlp.2": 999})
    shown = chosen_neurons(many, label=label, against=against)
    bins = binned(shown, label, against)
    assert len(bins) <= MOST_BINS
    sites = many["site"].tolist()
    for site, part in bins.groupby("site"):
        ranks = [
            rank
            for first, last in zip(part["first"], part["last"], strict=True)
            for rank in range(first, last + 1)
        ]
        assert ranks == list(range(1, sites.count(str(site)) + 1))
    assert sum(bins["n"].tolist()) == len(many)


def test_a_bin_is_its_strongest_neuron():
    many = neurons({"mlp.1": 3000})
    shown = chosen_neurons(many, label="a")
    bins = binned(shown, "a")
    first = shown.iloc[: int(bins["n"].iloc[0])]
    top = first.loc[first["weight:a"].abs().idxmax()]
    assert bins["neuron"].iloc[0] == top["neuron"]
    assert bins["value"].iloc[0] == top["weight:a"]
    assert bins["importance"].iloc[0] == pytest.approx(first["importance"].mean())


def test_each_neuron_is_in_the_bin_that_counts_it():
    shown = chosen_neurons(neurons({"mlp.1": 3000, "resid.2": 7}), label="a")
    bins = binned(shown, "a")
    rows = [bin_of(shown, bins, one) for one in shown["neuron"]]
    assert rows == np.repeat(np.arange(len(bins)), bins["n"]).tolist()
    strongest = [bin_of(shown, bins, one) for one in bins["neuron"]]
    assert strongest == list(range(len(bins)))
    assert bin_of(shown, bins, 9999) is None


def test_a_page_is_the_one_that_holds_the_neuron():
    shown = list(range(5000, 0, -1))
    assert [page_of(shown, one) for one in (5000, 3001, 3000, 1, 9999)] == [
        0,
        0,
        1,
        2,
        0,
    ]
