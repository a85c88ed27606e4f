"""The nearest texts, by brute force in the space that the head reads."""

import numpy as np
import pytest

from stc_core.heads.head import SparseHead
from stc_core.interpret import nearest_texts
from stc_core.types import Feature, Site

RNG = np.random.default_rng(0)
N, K = 5, 3
HEAD = SparseHead(
    tuple(Feature(Site(0, "resid"), "mean", j) for j in range(N)),
    RNG.standard_normal(N),
    RNG.uniform(0.5, 3, N),
    RNG.standard_normal((K, N)),
    RNG.standard_normal(K),
    ("a", "b", "c"),
)
X = RNG.standard_normal((40, N)).astype(np.float32)
ROWS = np.arange(0, 40, 2)


def by_hand(x: np.ndarray) -> list[float]:
    """Distances of centred contributions to the logits, one text at a time."""
    weight = HEAD.weight - HEAD.weight.mean(0)
    out = []
    for row in ROWS:
        z = (X[row] - x) / HEAD.sd
        out.append(
            float(
                np.sqrt(
                    sum((weight[:, j] * z[j]) @ (weight[:, j] * z[j]) for j in range(N))
                )
            )
        )
    return out


@pytest.mark.parametrize("block", [3, 1024])
def test_distances_are_those_of_brute_force(block, monkeypatch):
    monkeypatch.setattr(nearest_texts, "BLOCK", block)
    x = RNG.standard_normal(N)
    np.testing.assert_allclose(
        nearest_texts.distances(HEAD, X, ROWS, x), by_hand(x), rtol=1e-5
    )


def test_values_count_no_further_than_the_head_counts_them():
    """One neuron far outside would else decide alone which texts are near."""
    ranged = HEAD._replace(low=X.min(axis=0), high=X.max(axis=0))
    far, end = X[7].astype(float), X[7].astype(float)
    far[2], end[2] = 300.0, X[:, 2].max()
    np.testing.assert_allclose(
        nearest_texts.distances(ranged, X, ROWS, far), by_hand(end), rtol=1e-5
    )


def test_a_shift_of_all_weights_moves_no_distance():
    moved = HEAD._replace(weight=HEAD.weight + RNG.standard_normal(N))
    np.testing.assert_allclose(
        nearest_texts.stretch(moved), nearest_texts.stretch(HEAD)
    )


def test_the_nearest_come_first_without_the_text_itself():
    apart = nearest_texts.distances(HEAD, X, ROWS, X[4])
    assert apart[2] == 0
    found = nearest_texts.nearest(ROWS, apart, most=3, without=[4])
    assert 4 not in found["row"].tolist()
    order = ROWS[np.argsort(by_hand(X[4]))]
    assert found["row"].tolist() == order[1:4].tolist()
    assert found["distance"].is_monotonic_increasing


def test_fewer_rows_than_asked_for_are_enough():
    found = nearest_texts.nearest(ROWS[:2], np.array([2.0, 1.0]), most=5)
    assert found["row"].tolist() == [2, 0]
