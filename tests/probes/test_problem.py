"""Standardised features and the rows that a path reports."""

import numpy as np
import pytest

from stc_core.errors import StcError
from stc_core.probes.penalties import L1, GroupL2
from stc_core.probes.problem import pose_problem, standardise


@pytest.fixture
def X() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.standard_normal((200, 20)) * rng.uniform(0.01, 10, 20)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_standardised_features_have_mean_0_and_sd_1(X: np.ndarray, dtype) -> None:
    raw = (X + 100).astype(dtype)
    XT, mean, sd = standardise(raw)
    assert XT.dtype == (np.float64 if dtype == np.float64 else np.float32)
    exact = raw.astype(np.float64)
    varies = exact.std(axis=0) > 0
    np.testing.assert_allclose(XT.mean(axis=1), 0, atol=1e-4)
    np.testing.assert_allclose(XT.std(axis=1)[varies], 1, atol=1e-3)
    np.testing.assert_allclose(mean, exact.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(sd[varies], exact.std(axis=0)[varies], rtol=1e-3)
    assert (sd[~varies] == 1).all() and not XT[~varies].any()


def test_weights_count_examples(X: np.ndarray) -> None:
    times = np.random.default_rng(1).integers(0, 3, 200)
    _, mean, sd = standardise(X, times.astype(float))
    np.testing.assert_allclose(mean, X.repeat(times, axis=0).mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(sd, X.repeat(times, axis=0).std(axis=0))


def test_a_feature_that_is_not_finite_is_named(X: np.ndarray) -> None:
    X[3, 7] = np.inf
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(StcError, match="feature 7: expected finite"),
    ):
        standardise(X)


@pytest.mark.parametrize("penalty", [L1(), GroupL2()], ids=["l1", "group"])
def test_one_row_becomes_two_of_the_same_logits_and_penalty(X, penalty) -> None:
    y = np.repeat([1, 3], 100)
    problem = pose_problem(
        X, y, penalty, n_class=5, class_weight=None, sample_weight=None
    )
    W, b = np.linspace(-1, 1, 20)[None], np.array([0.3])
    coef, intercept = problem.all_rows(W, b)
    np.testing.assert_allclose(coef[3] - coef[1], W[0])
    assert intercept[3] - intercept[1] == pytest.approx(0.3)
    assert penalty.value(coef) == pytest.approx(problem.row_factor * np.abs(W).sum())
    assert not coef[[0, 2, 4]].any() and (intercept[[0, 2, 4]] < -4).all()
