"""Sums over blocks give what all rows at once give."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from stc_core.heads.head import mean_and_sd
from stc_core.heads.least_squares import gram
from stc_core.heads.moments import Sums

N, D, K = 60, 5, 3


@pytest.fixture
def data():
    rng = np.random.default_rng(1)
    X = (rng.standard_normal((N, D)) * [1, 5, 0.1, 2, 1] + [0, 90, 3, -7, 0]).astype(
        np.float32
    )
    X[:, 4] = 3.5  # flat
    y = rng.integers(0, K, N)
    return X, y, rng.uniform(0.2, 3, N).astype(np.float32)


def summed(X, y, w, *, pieces: int, rough: slice) -> Sums:
    mean, sd = mean_and_sd(X[rough])
    sums = Sums(mean, sd, K)
    for rows in np.array_split(np.arange(len(X)), pieces):
        sums.add(X[rows], y[rows], w[rows])
    return sums


@pytest.mark.parametrize("pieces", [1, 7])
@pytest.mark.parametrize("rough", [slice(None), slice(0, 8)])
def test_they_are_the_moments_of_all_rows(data, pieces, rough):
    X, y, w = data
    trust = np.array([1, 0.5, 0.25, 1, 1], np.float32)
    found = summed(X, y, w, pieces=pieces, rough=rough).standardised(trust)
    mean, sd = mean_and_sd(X, w)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.sd, sd, rtol=1e-5)
    Z = ((X - mean) / sd * trust).astype(np.float32)
    wanted = gram(Z, y, n_class=K, sample_weight=w)
    np.testing.assert_allclose(found.gram.ZZ, wanted.ZZ, atol=2e-4)
    np.testing.assert_allclose(found.gram.ZY, wanted.ZY, atol=2e-4)
    assert found.gram.n == pytest.approx(wanted.n)
    np.testing.assert_allclose(found.prior, np.bincount(y, w, K) / w.sum(), rtol=1e-6)


def test_without_weights_they_are_scikit_learn_s(data):
    X, y, _ = data
    one = np.ones(N, np.float32)
    found = summed(X, y, one, pieces=4, rough=slice(0, 8)).standardised(one[:D])
    scaler = StandardScaler().fit(X.astype(float))
    np.testing.assert_allclose(found.mean, np.array(scaler.mean_), rtol=1e-5)
    np.testing.assert_allclose(found.sd, np.array(scaler.scale_), rtol=1e-5)
    diagonal = found.gram.ZZ.diagonal()
    np.testing.assert_allclose(diagonal, np.r_[[N] * 4, 0], rtol=1e-4, atol=1e-6)


def test_two_of_them_add_up(data):
    X, y, w = data
    whole = summed(X, y, w, pieces=1, rough=slice(None))
    mean, sd = mean_and_sd(X)
    first, second = Sums(mean, sd, K), Sums(mean, sd, K)
    first.add(X[:20], y[:20], w[:20])
    second.add(X[20:], y[20:], w[20:])
    both = (first + second).standardised(np.ones(D, np.float32))
    wanted = whole.standardised(np.ones(D, np.float32))
    np.testing.assert_allclose(both.gram.ZZ, wanted.gram.ZZ, atol=1e-4)
    np.testing.assert_allclose(both.gram.ZY, wanted.gram.ZY, atol=1e-4)
    np.testing.assert_allclose(both.mean, wanted.mean, rtol=1e-6)


def test_what_was_added_can_be_taken_away(data):
    X, y, w = data
    whole = summed(X, y, w, pieces=1, rough=slice(None))
    mean, sd = mean_and_sd(X)
    own, rest = Sums(mean, sd, K), Sums(mean, sd, K)
    own.add(X[:20], y[:20], w[:20])
    rest.add(X[20:], y[20:], w[20:])
    found = (whole - own).standardised(np.ones(D, np.float32))
    wanted = rest.standardised(np.ones(D, np.float32))
    np.testing.assert_allclose(found.gram.ZZ, wanted.gram.ZZ, atol=1e-4)
    np.testing.assert_allclose(found.gram.ZY, wanted.gram.ZY, atol=1e-4)
    np.testing.assert_allclose(found.prior, wanted.prior, rtol=1e-6)
