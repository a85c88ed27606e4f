"""The weights of a ridge model are the same by its columns and by its rows."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from stc_core.heads.least_squares import gram, ridge_weights, solve_ridge


@pytest.mark.parametrize("d", [5, 40, 90])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_smaller_system_gives_the_same_weights(d, weighted):
    rng = np.random.default_rng(d)
    codes = rng.integers(0, 3, 40)
    Z = rng.standard_normal((40, d)).astype(np.float32) + codes[:, None]
    weight = rng.uniform(0.5, 2, 40) if weighted else np.ones(40)
    weight = weight.astype(np.float32)
    of = {"n_class": 3, "sample_weight": weight}
    moments = gram(Z, codes, **of)
    found = ridge_weights(Z.copy(), codes, ridge=0.5, **of)
    np.testing.assert_allclose(found, solve_ridge(moments, 0.5), atol=2e-4)
    alpha = 0.5 * float(np.trace(moments.ZZ)) / moments.n
    oracle = Ridge(alpha=alpha).fit(Z, np.eye(3)[codes], sample_weight=weight)
    np.testing.assert_allclose(found.T, oracle.coef_, atol=2e-4)


def test_columns_that_do_not_vary_have_no_weight():
    codes, flat = np.array([0, 1, 0, 1]), np.ones((4, 9), np.float32)
    weight = np.ones(4, np.float32)
    found = ridge_weights(flat, codes, n_class=2, sample_weight=weight, ridge=1.0)
    assert not found.any()
