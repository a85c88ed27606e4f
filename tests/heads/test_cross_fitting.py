"""Rows judged by heads that have not seen them, against plain refits of each fold."""

import numpy as np
import pytest

from stc_core.data.task import Task
from stc_core.heads.cross_fitting import (
    FOLDS,
    cross_fitted,
    cross_fitted_temperature,
    stratified_folds,
)
from stc_core.heads.head import softmax
from stc_core.heads.ridge import fit_ridge_head
from stc_core.metrics.scores import fit_temperature, log_loss


def data(n: int, d: int = 12, *, K: int = 3, seed: int = 0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, K, n)
    centers = rng.standard_normal((K, d))
    X = 3 + 0.6 * centers[codes] + rng.standard_normal((n, d))
    return X.astype(np.float32), codes, rng.permutation(n)


def task_of(codes: np.ndarray, order: np.ndarray, *, n_val: int, n_test: int = 0):
    n = len(order) - n_test
    names = tuple("abcdefgh"[: codes.max() + 1])
    return Task(codes, names, order[n_val:n], order[:n_val])


@pytest.mark.parametrize("trusted", [False, True])
def test_it_equals_a_refit_without_each_fold(trusted):
    X, codes, order = data(150)
    task = task_of(codes, order, n_val=30, n_test=20)
    trust = np.ones(X.shape[1], np.float32)
    if trusted:
        trust = np.linspace(0.2, 1, X.shape[1]).astype(np.float32)
    found = cross_fitted(X, task, ridge=0.3, trust=trust)
    assert found.judged.all() and found.logits.shape == (130, 3)
    folds = stratified_folds(np.arange(130), codes[task.learned], seed=0)
    for fold in range(FOLDS):
        own = folds == fold
        rest = task.learned[~own]
        head = fit_ridge_head(X, task, (), rows=rest, ridge=0.3, trust=trust)
        expected = head.logits(X[task.learned[own]])
        np.testing.assert_allclose(found.logits[own], expected, rtol=1e-3, atol=1e-3)


def test_test_rows_change_nothing():
    X, codes, order = data(150)
    task = task_of(codes, order, n_val=30, n_test=20)
    trust = np.ones(X.shape[1], np.float32)
    before = cross_fitted_temperature(X, task, ridge=0.3, trust=trust)
    X[order[130:]] = 1e6
    assert cross_fitted_temperature(X, task, ridge=0.3, trust=trust) == before


def test_equal_rows_are_in_one_fold():
    X, codes, _ = data(60)
    X, codes = np.repeat(X, 2, axis=0), np.repeat(codes, 2)
    task = Task(codes, ("a", "b", "c"), np.arange(90), np.arange(90, 120))
    trust = np.ones(X.shape[1], np.float32)
    found = cross_fitted(X, task, ridge=0.6, trust=trust)  # twice the data
    once = Task(codes[::2], ("a", "b", "c"), np.arange(45), np.arange(45, 60))
    alone = cross_fitted(X[::2], once, ridge=0.3, trust=trust)
    np.testing.assert_allclose(found.logits[::2], alone.logits, rtol=1e-3, atol=1e-3)


def test_classes_are_spread_over_the_folds():
    codes = np.repeat([0, 1, 2], [50, 7, 2])
    folds = stratified_folds(np.arange(59), codes, seed=3)
    for code in range(3):
        counts = np.bincount(folds[codes == code], minlength=FOLDS)
        assert counts.max() - counts.min() <= 1


def test_a_class_of_one_row_is_not_judged():
    X, codes, order = data(60)
    codes = np.where(np.arange(60) == 7, 3, codes)
    task = task_of(codes, order, n_val=10)
    found = cross_fitted(X, task, ridge=0.3, trust=np.ones(X.shape[1], np.float32))
    assert np.flatnonzero(~found.judged).tolist() == [
        int(np.flatnonzero(task.learned == 7)[0])
    ]


def test_without_a_row_to_judge_there_is_no_temperature():
    X, _, _ = data(2, K=2)
    task = Task(np.array([0, 1]), ("a", "b"), np.array([0]), np.array([1]))
    trust = np.ones(X.shape[1], np.float32)
    assert cross_fitted_temperature(X, task, ridge=1.0, trust=trust) is None


def test_on_few_rows_it_is_closer_to_the_best_temperature_than_validation_alone():
    """Mean excess log-loss on 2,000 new rows, over 20 draws of 80 rows."""
    excess = {"validation": [], "cross-fitted": []}
    for seed in range(20):
        X, codes, _ = data(2080, d=30, seed=seed)
        order = np.random.default_rng(seed).permutation(80)
        task = task_of(codes[:80], order, n_val=12)
        trust = np.ones(X.shape[1], np.float32)
        first = fit_ridge_head(X[:80], task, (), rows=task.train, ridge=0.1)
        last = fit_ridge_head(X[:80], task, (), rows=task.learned, ridge=0.1)
        Z, y = last.logits(X[80:]), codes[80:]
        best = log_loss(y, softmax(Z / fit_temperature(Z, y)))
        held = first.logits(X[task.validation])
        alone = fit_temperature(held, codes[task.validation])
        cross = cross_fitted_temperature(X[:80], task, ridge=0.1, trust=trust)
        assert cross is not None
        for name, T in (("validation", alone), ("cross-fitted", cross)):
            excess[name].append(log_loss(y, softmax(Z / T)) - best)
    assert np.mean(excess["cross-fitted"]) < 0.5 * np.mean(excess["validation"])
