"""Correlated neurons, and the same neuron in another run."""

import numpy as np
import pytest

from helpers.frames import neurons
from stc_core.interpret.related_neurons import (
    correlated,
    correlations,
    other_poolings,
    same_in,
    sample_rows,
)

RNG = np.random.default_rng(0)


def test_correlations_are_those_of_numpy():
    X = RNG.standard_normal((50, 6)).astype(np.float32) + 100
    X[:, 3] = -2 * X[:, 1] + 5
    expected = np.corrcoef(X.T.astype(float))[1]
    np.testing.assert_allclose(correlations(X, 1), expected, atol=1e-4)


@pytest.mark.parametrize("neuron", [0, 1])
def test_a_flat_neuron_goes_with_none(neuron):
    X = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 5.0]], np.float32)
    r = correlations(X, neuron)
    assert r[1 - neuron] == 0 and r[0] == 0


def test_the_furthest_from_zero_come_first_without_itself():
    r = np.linspace(-0.9, 0.8, 10)
    r[4] = 1.0
    found = correlated(neurons(), r, 4, most=3)
    assert found["neuron"].tolist() == [0, 9, 1]
    assert found["r"].tolist() == pytest.approx([r[0], r[9], r[1]])


def test_a_sample_is_all_or_the_same_each_time():
    assert sample_rows(5, 10).tolist() == [0, 1, 2, 3, 4]
    one, other = sample_rows(100, 10), sample_rows(100, 10)
    assert (one == other).all() and len(set(one)) == 10
    assert (np.diff(one) > 0).all()


def test_the_same_neuron_is_found_by_site_index_and_pooling():
    table = neurons()
    there = table.assign(neuron=table["neuron"] + 100)
    found = same_in(there, table.to_dict("records")[3])
    values = table["importance"].to_numpy()
    rank = 1 + int(np.sum(values > values[3]))
    assert found == {
        "neuron": 103,
        "rank": rank,
        "of": 10,
        "class": "a",
        "weight": -0.5,
    }


def test_another_pooling_is_another_neuron():
    row = {**neurons().to_dict("records")[3], "pooling": "first"}
    assert same_in(neurons(), row) is None
    assert other_poolings(neurons(), row) == ["mean"]
    assert other_poolings(neurons(), {**row, "index": 999}) == []
