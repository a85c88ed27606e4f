"""The closed form against models that are really fitted without each row."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from stc_core.heads.leave_one_out import leave_one_out

RIDGES = (0.1, 1.0)


@pytest.mark.parametrize("d", [5, 60])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_equals_a_fit_without_each_row(d, weighted):
    """The means stay those of all rows, so each fit keeps them."""
    rng = np.random.default_rng(0)
    n, K = 40, 3
    codes = rng.integers(0, K, n)
    Z = rng.standard_normal((n, d)) + 0.5 * rng.standard_normal((K, d))[codes]
    Z = ((Z - Z.mean(axis=0)) / Z.std(axis=0)).astype(np.float32)
    weight = np.ones(n, np.float32)
    if weighted:
        weight = (1.0 / np.bincount(codes))[codes].astype(np.float32)
    center = weight @ Z / weight.sum()
    A, Y = Z - center, np.eye(K)[codes]
    rooted = A * np.sqrt(weight)[:, None]
    known = {"n_class": K, "sample_weight": weight, "ridges": RIDGES}
    found = leave_one_out(np.tril(rooted @ rooted.T), codes, **known)
    assert found.shape == (2, n, K)
    for scores, ridge in zip(found, RIDGES, strict=True):
        penalty = ridge * (weight @ (A**2).sum(axis=1)) / weight.sum()
        model = Ridge(alpha=penalty)
        for i in range(n):
            rest = np.arange(n) != i
            model.fit(A[rest], Y[rest], sample_weight=weight[rest])
            expected = model.predict(A[i : i + 1])[0]
            np.testing.assert_allclose(scores[i], expected, atol=2e-3)
