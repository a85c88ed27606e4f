"""Nested models against one ridge model for each size."""

import numpy as np
import pytest

from stc_core.heads.least_squares import gram, solve_ridge
from stc_core.heads.nested_ridge import nested_scores

RIDGES = (0.03, 3.0)
SIZES = [1, 5, 20, 30, 31, 64, 64]


@pytest.mark.parametrize("weighted", [False, True])
def test_each_size_is_the_model_of_its_columns(weighted):
    rng = np.random.default_rng(0)
    n, d, K = 30, 64, 4
    codes = rng.integers(0, K, n)
    Z = (rng.standard_normal((n, d)) + codes[:, None] * 0.2).astype(np.float32)
    others = rng.standard_normal((11, d)).astype(np.float32)
    weight = np.ones(n, np.float32)
    if weighted:
        weight = rng.uniform(0.2, 3, n).astype(np.float32)
    shared = {"n_class": K, "sample_weight": weight}
    found = list(
        nested_scores(Z.copy(), others, codes, sizes=SIZES, ridges=RIDGES, **shared)
    )
    center = weight @ Z / weight.sum()
    prior = np.bincount(codes, weight, K) / weight.sum()
    for size, scores in zip(SIZES, found, strict=True):
        moments = gram(Z[:, :size], codes, **shared)
        for ridge, own in zip(RIDGES, scores, strict=True):
            W = solve_ridge(moments, ridge)
            expected = (others - center)[:, :size] @ W + prior
            np.testing.assert_allclose(own, expected, atol=2e-3)
