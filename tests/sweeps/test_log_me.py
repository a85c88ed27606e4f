"""LogME against the evidence itself; its rivals of the bench against their formulas."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from benches.transfer_scores import h_score, probe_score
from stc_core.data.task import Task
from stc_core.heads.least_squares import RIDGES
from stc_core.sweeps.log_me import log_me
from stc_core.types import PooledSite, Site

SITES = [PooledSite(Site(layer, "resid"), "mean") for layer in range(2)]


def drawn(n: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Features with an offset, and three classes that depend on two columns."""
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(n, width)) + 0.3).astype(np.float32)
    codes = (X[:, 0] + rng.normal(size=n) > 0.3).astype(int) + (X[:, 1] > 1)
    return X, codes


def best_evidence(X: np.ndarray, y: np.ndarray) -> float:
    """The largest log density of y under N(0, I / beta + X X^T / alpha), a row."""
    rows = X.astype(np.float64) @ X.T.astype(np.float64)

    def cost(logs: np.ndarray) -> float:
        alpha, beta = np.exp(np.clip(logs, -15, 15))
        cov = np.eye(len(y)) / beta + rows / alpha
        return -multivariate_normal(np.zeros(len(y)), cov).logpdf(y) / len(y)

    starts = [(a, b) for a in (0.0, 3.0) for b in (0.0, 3.0)]
    fine = {"xatol": 1e-6, "fatol": 1e-10}
    found = [minimize(cost, s, method="Nelder-Mead", options=fine) for s in starts]
    return -min(one.fun for one in found)


@pytest.mark.parametrize(("n", "width"), [(30, 5), (12, 20)])
def test_it_is_the_largest_evidence_by_search(n: int, width: int):
    X, codes = drawn(n, width)
    known = np.unique(codes)
    expected = np.mean([best_evidence(X, (codes == k) * 1.0) for k in known])
    assert log_me(X, codes) == pytest.approx(expected, abs=1e-6)


def test_features_that_tell_the_classes_have_more_evidence():
    X, codes = drawn(60, 8)
    told = X.copy()
    told[:, 2] += 3 * codes
    shuffled = np.random.default_rng(1).permutation(codes)
    assert log_me(told, codes) > log_me(X, codes) > log_me(X, shuffled)


def test_constant_columns_change_little_and_break_nothing():
    X, codes = drawn(40, 6)
    wide = np.concatenate([X, np.zeros((40, 3), np.float32)], axis=1)
    assert log_me(wide, codes) == pytest.approx(log_me(X, codes), abs=1e-9)
    assert np.isfinite(log_me(np.zeros((40, 3), np.float32), codes))


@pytest.mark.parametrize(("n", "width"), [(40, 6), (12, 20)])
def test_the_h_score_is_its_formula(n: int, width: int):
    """With the shrinkage of Ledoit and Wolf 2004 written out."""
    X, codes = drawn(n, width)
    Z = X.astype(np.float64) - X.mean(axis=0, dtype=np.float64)
    S = Z.T @ Z / n
    mu = np.trace(S) / width
    d2 = np.sum((S - mu * np.eye(width)) ** 2) / width
    b2 = np.mean([np.sum((np.outer(z, z) - S) ** 2) / width for z in Z]) / n
    a = min(b2, d2) / d2
    shrunk = (1 - a) * S + a * mu * np.eye(width)
    means = np.stack([Z[codes == code].mean(axis=0) for code in codes])
    between = means.T @ means / n
    expected = np.trace(np.linalg.inv(shrunk) @ ((1 - a) * between))
    assert h_score(X, codes) == pytest.approx(expected, rel=1e-6)


def test_the_probe_is_that_of_models_fitted_without_each_row():
    """With the mean, the sd and the penalty of all rows."""
    rng = np.random.default_rng(0)
    n, codes = 30, rng.integers(0, 3, 30)
    parts = [rng.normal(size=(n, d)).astype(np.float32) for d in (4, 3)]
    for column in (1, 2):
        parts[0][:, column] += 4 * (codes == column)
    rows = np.arange(n)
    task = Task(codes, ("a", "b", "c"), rows, rows[:0])
    X = np.concatenate(parts, axis=1).astype(np.float64)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    Y = np.eye(3)[codes] - np.eye(3)[codes].mean(axis=0)
    expected = []
    for ridge in RIDGES:
        penalty = np.diag([ridge * (Z**2).sum() / n] * 7 + [0])
        right = 0
        for row in rows:
            A = np.column_stack([Z, np.ones(n)])[rows != row]
            W = np.linalg.solve(A.T @ A + penalty, A.T @ Y[rows != row])
            guess = np.append(Z[row], 1) @ W + np.eye(3)[codes].mean(axis=0)
            right += int(guess.argmax() == codes[row])
        expected.append(right / n)
    read = dict(zip(SITES, parts, strict=True)).__getitem__
    widths: dict[PooledSite, int] = dict(zip(SITES, (4, 3), strict=True))
    np.testing.assert_allclose(probe_score(read, task, widths), expected, atol=1e-9)
    assert max(expected) > 0.6
