"""Rows in an order of likeness, held against the best order of scipy's tree."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import pdist

from stc_core.interpret import neuron_order
from stc_core.interpret.neuron_order import seriation


def groups(n: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows around six directions, shuffled, and the direction of each."""
    rng = np.random.default_rng(seed)
    centres, member = rng.normal(size=(6, 10)), rng.integers(6, size=n)
    noise = 0.1 * rng.normal(size=(n, 10))
    return (centres[member] + noise) * rng.uniform(0.1, 9, (n, 1)), member


def way(X: np.ndarray, order: np.ndarray) -> float:
    """How far it is from row to row in this order, lengths aside."""
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    return float(np.linalg.norm(np.diff(unit[order], axis=0), axis=1).sum())


def tree(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    distances = pdist(X / np.linalg.norm(X, axis=1, keepdims=True))
    return linkage(distances, "average"), distances


@pytest.mark.parametrize("n", [0, 1, 2, 3, 40])
def test_every_row_comes_once(n):
    assert sorted(seriation(groups(n)[0])) == list(range(n))


def test_rows_of_one_direction_stand_together_whatever_their_length():
    X, member = groups(120)
    changes = np.count_nonzero(np.diff(member[seriation(X)]))
    assert changes == len(set(member)) - 1


@pytest.mark.parametrize("seed", range(3))
def test_it_is_about_as_good_as_the_best_order_of_its_tree(seed):
    X, _ = groups(90, seed=seed)
    merges, distances = tree(X)
    best = way(X, leaves_list(optimal_leaf_ordering(merges, distances)))
    assert way(X, seriation(X)) <= 1.05 * best
    assert way(X, seriation(X)) < way(X, leaves_list(merges))


def test_a_row_for_and_a_row_against_are_not_alike():
    first = np.array([1.0, 2.0, 0.0])
    X = np.array([first, -first, first, -first, 3 * first])
    signs = np.sign(X[seriation(X)][:, 0])
    assert np.count_nonzero(np.diff(signs)) == 1


def test_rows_beyond_those_that_are_clustered_join_the_nearest(monkeypatch):
    monkeypatch.setattr(neuron_order, "MOST_CLUSTERED", 50)
    X, member = groups(200)
    order = seriation(X)
    assert sorted(order) == list(range(200))
    assert np.count_nonzero(np.diff(member[order])) == len(set(member)) - 1


def test_rows_of_nothing_are_no_trouble():
    assert sorted(seriation(np.zeros((4, 3)))) == [0, 1, 2, 3]
