"""The log-loss: its derivative by differences, its dual by weak duality."""

import numpy as np
import pytest
from sklearn.metrics import log_loss

from stc_core.probes import losses


def make(K: int) -> tuple[losses.Target, np.ndarray]:
    rng = np.random.default_rng(0)
    codes = np.r_[np.arange(K), rng.integers(K, size=9 - K)]
    target = losses.Target(codes, rng.uniform(0.5, 2, 9), K)
    return target, rng.standard_normal((target.rows, 9))


@pytest.mark.parametrize("K", [2, 4])
def test_the_loss_is_scikit_learns_sum(K: int) -> None:
    target, Z = make(K)
    P = losses.slope(Z, target).proba
    P = np.r_[1 - P, P] if K == 2 else P
    wanted = log_loss(
        target.codes, P.T, sample_weight=target.weight, normalize=False, labels=range(K)
    )
    assert losses.loss_of(Z, target) == pytest.approx(wanted)
    assert losses.slope(Z, target).loss == pytest.approx(wanted)


@pytest.mark.parametrize("K", [2, 4])
def test_the_residual_is_the_derivative(K: int) -> None:
    target, Z = make(K)
    residual = losses.slope(Z, target).residual
    for k, i in ((0, 0), (target.rows - 1, 5)):
        E = np.zeros_like(Z)
        E[k, i] = 1e-5
        rise = losses.loss_of(Z + E, target) - losses.loss_of(Z - E, target)
        assert rise / 2e-5 == pytest.approx(residual[k, i], rel=1e-6)


@pytest.mark.parametrize("K", [2, 4])
def test_null_intercepts_are_stationary(K: int) -> None:
    target, _ = make(K)
    Z = np.repeat(losses.null_intercept(target)[:, None], 9, axis=1)
    np.testing.assert_allclose(
        losses.slope(Z, target).residual.sum(axis=1), 0, atol=1e-12
    )


@pytest.mark.parametrize("K", [2, 4])
def test_the_dual_meets_the_loss_where_there_is_nothing_to_fit(K: int) -> None:
    target, _ = make(K)
    Z = np.repeat(losses.null_intercept(target)[:, None], 9, axis=1)
    slope = losses.slope(Z, target)
    assert losses.dual_value(slope.proba, target, 1.0) == pytest.approx(slope.loss)
    assert losses.dual_value(slope.proba, target, 0.5) < slope.loss
    assert losses.dual_value(slope.proba, target, 0.0) == pytest.approx(0)


@pytest.mark.parametrize("K", [2, 4])
def test_huge_logits_stay_finite(K: int) -> None:
    target, Z = make(K)
    slope = losses.slope(1e4 * Z, target)
    assert np.isfinite(slope.loss) and np.isfinite(slope.residual).all()


@pytest.mark.parametrize("K", [2, 4])
def test_single_precision_stays_single(K: int) -> None:
    target, Z = make(K)
    target = target._replace(weight=target.weight.astype(np.float32))
    slope = losses.slope(Z.astype(np.float32), target)
    assert slope.proba.dtype == slope.residual.dtype == np.float32
