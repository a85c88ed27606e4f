"""Which neurons stay: by mass, by rank; and least squares against scikit-learn."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from stc_core.heads.least_squares import gram, importance, solve_ridge
from stc_core.metrics.scores import first_best, last_best
from stc_core.selection.importance import descending_order, keep_mass, keep_top


def test_importance_by_hand():
    coef = np.array([[1.0, 0.0, -2.0], [3.0, 0.0, 1.0]])
    np.testing.assert_allclose(importance(coef), [10, 0, 5])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("eta", [0.01, 0.3, 0.5, 0.9, 1.0])
def test_no_smaller_set_holds_the_mass(seed, eta):
    score = np.random.default_rng(seed).exponential(size=7)
    kept = keep_mass(score, eta)
    assert score[kept].sum() >= eta * score.sum() * (1 - 1e-9)
    smaller = combinations(score, len(kept) - 1)
    assert all(sum(some) < eta * score.sum() for some in smaller)


def test_mass_comes_in_descending_order_and_earlier_first():
    score = np.array([1.0, 4.0, 1.0, 4.0, 0.0])
    assert keep_mass(score, 0.8).tolist() == [1, 3]
    assert keep_mass(score, 0.85).tolist() == [1, 3, 0]
    assert keep_mass(score, 1.0).tolist() == [1, 3, 0, 2]


def test_a_share_that_is_met_exactly_takes_no_more():
    score = np.full(10, 0.1)  # sums that binary fractions do not hit
    for n in range(1, 11):
        assert len(keep_mass(score, n / 10)) == n


@pytest.mark.parametrize("score", [[], [0.0, 0.0]])
def test_no_importance_keeps_nothing(score):
    assert keep_mass(np.array(score), 1.0).tolist() == []
    assert keep_top(np.array(score), 3).tolist() == []


def test_top_by_hand():
    score = np.array([1.0, 0.0, 3.0, 1.0])
    assert keep_top(score, 1).tolist() == [2]
    assert keep_top(score, 2).tolist() == [2, 0]
    assert keep_top(score, 9).tolist() == [2, 0, 3]


@pytest.mark.parametrize("last", [3.0, np.nextafter(3.0, 4), 3 * (1 - 4e-5)])
def test_importances_equal_up_to_rounding_are_taken_earlier_first(last):
    score = np.array([1.0, 3.0, 0.0, last, 2.0])
    assert descending_order(score).tolist() == [1, 3, 4, 0, 2]
    assert keep_top(score, 1).tolist() == [1]
    assert keep_mass(score, 0.3).tolist() == [1]
    assert descending_order(score[::-1]).tolist() == [1, 3, 0, 4, 2]
    larger = np.where(score == 3, 3 * (1 - 4e-4), score)
    assert last == 3 or descending_order(larger).tolist() == [3, 1, 4, 0, 2]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ridge", [0.3, 3.0, 30.0])
def test_twins_are_taken_earlier_first_whatever_the_sums_round_to(ridge, seed):
    """Their true importances are equal, and those of float32 within 5e-5 here."""
    Z, codes, weight, _ = moments(n=300, d=40, seed=seed)
    found = gram(np.c_[Z, Z], codes, n_class=3, sample_weight=weight)
    places = np.argsort(descending_order(importance(solve_ridge(found, ridge).T)))
    assert (places[:40] < places[40:]).all()


def test_scores_equal_up_to_rounding_are_ties():
    third = np.array([0.8, 0.9, 0.7]).sum() / 3
    scores = np.array([0.1, third, (0.7 + 0.9 + 0.8) / 3, 0.8, 0.2])
    assert len(set(scores)) > 3
    assert first_best(scores) == 1 and last_best(scores) == 3
    assert first_best(np.array([0.5, 0.5 + 1e-4])) == 1  # a row of ten thousand


def moments(n=60, d=5, K=3, *, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((n, d)).astype(np.float32) + 0.3
    codes = rng.integers(0, K, n)
    weight = rng.uniform(0.2, 3, n).astype(np.float32)
    return Z, codes, weight, gram(Z, codes, n_class=K, sample_weight=weight)


def test_gram_by_hand():
    Z, codes, weight, found = moments()
    total = weight.sum()
    A = Z - weight @ Z / total
    Y = np.eye(3)[codes]
    Y = Y - weight @ Y / total
    np.testing.assert_allclose(found.ZZ, (A.T * weight) @ A, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.ZY, (A.T * weight) @ Y, rtol=1e-3, atol=1e-4)
    assert found.n == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("ridge", [0.01, 1.0, 30.0])
def test_weights_equal_scikit_learn_s_ridge(ridge):
    Z, codes, weight, found = moments()
    alpha = ridge * np.trace(found.ZZ) / found.n
    oracle = Ridge(alpha=alpha, solver="cholesky")
    oracle.fit(Z.astype(float), np.eye(3)[codes], sample_weight=weight)
    W = solve_ridge(found, ridge)
    np.testing.assert_allclose(W.T, oracle.coef_, rtol=2e-3, atol=1e-5)


def test_some_columns_are_solved_as_if_there_were_no_others():
    Z, codes, weight, found = moments()
    columns = np.array([4, 1])
    alone = gram(Z[:, columns], codes, n_class=3, sample_weight=weight)
    W = solve_ridge(found.restricted(columns), 1.0)
    np.testing.assert_allclose(W, solve_ridge(alone, 1.0), rtol=1e-3, atol=1e-6)


def test_solving_leaves_the_moments_as_they_were():
    found = moments()[-1]
    before = found.ZZ.copy(), found.ZY.copy()
    solve_ridge(found, 1.0)
    np.testing.assert_array_equal(found.ZZ, before[0])
    np.testing.assert_array_equal(found.ZY, before[1])


def test_more_columns_than_rows_are_solved():
    found = moments(n=10, d=40)[-1]
    assert np.isfinite(solve_ridge(found, 0.01)).all()


def test_a_dense_list_is_no_single_tie():
    """Steps below ALIKE do not add up: the largest stay before the smallest."""
    score = np.geomspace(1, 2, 40_000)  # rising, each step 1.7e-5
    order = descending_order(score)
    assert (score[order[:10_000]] > np.quantile(score, 0.74)).all()
    score = np.array([1.0, 1 + 1e-5, 0.0, 0.0, 2.0])
    assert descending_order(score).tolist() == [4, 0, 1, 2, 3]
    assert descending_order(np.zeros(0)).tolist() == []
