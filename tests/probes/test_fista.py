"""The solver of a device against that of the host: objectives and certificates."""

import numpy as np
import pytest
from scipy.special import softmax

from helpers.hard_inputs import HARD, SILENT
from helpers.problems import kkt, make
from stc_core.probes import device
from stc_core.probes.device import DeviceProblem, upload
from stc_core.probes.fista import fit_paths
from stc_core.probes.penalties import PenaltyName, get_penalty
from stc_core.probes.problem import Path, pose_problem, rounding_limit
from stc_core.probes.solver import fit_path

TIGHT = 1e-4


def posed(X: np.ndarray, y: np.ndarray, name: str = "l1", **more) -> DeviceProblem:
    """The problem on the CPU, all classes counted."""
    given = {"n_class": None, "class_weight": None, "sample_weight": None} | more
    return upload(pose_problem(X, y, get_penalty(name), **given), "cpu")


def centred(coef: np.ndarray) -> np.ndarray:
    """Without what is common to all classes, for the L1 norm may leave that open."""
    return coef - coef.mean(axis=1, keepdims=True)


def check_equal(found: Path, expected: Path, *, coef: bool = True) -> None:
    """Two paths of one problem, certified to TIGHT."""
    np.testing.assert_allclose(found.Cs, expected.Cs, rtol=1e-6)
    assert (found.kkt <= TIGHT).all() and (found.gap < 10 * TIGHT).all()
    np.testing.assert_allclose(found.objective, expected.objective, rtol=1e-5)
    np.testing.assert_allclose(found.mean, expected.mean)
    np.testing.assert_allclose(found.sd, expected.sd)
    assert [part.shape for part in found] == [part.shape for part in expected]
    if coef:
        mine, theirs = centred(found.coef), centred(expected.coef)
        np.testing.assert_allclose(mine, theirs, atol=1e-3 * np.abs(theirs).max())


@pytest.mark.parametrize("K", [2, 6])
@pytest.mark.parametrize("name", ["l1", "group"])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_sites_solved_together_are_as_on_the_host(K: int, name, class_weight) -> None:
    X, y = make(K)
    odd = np.c_[X[:, :-4], np.full(len(X), 7.3), X[:, :3] + 1e4]  # constant, duplicated
    other = make(K, seed=1)[0]
    weighted = {"class_weight": class_weight}
    found = fit_paths(
        [posed(part, y, name, **weighted) for part in (X, odd, other)], tol=TIGHT
    )
    for part, path in zip((X, odd, other), found, strict=True):
        expected = fit_path(part, y, penalty=name, tol=TIGHT, **weighted)
        check_equal(path, expected, coef=part is not odd)  # twins share a weight freely
        if part is odd:
            assert not path.coef[:, :, 11].any() and path.sd[11] == 1


@pytest.mark.parametrize("K", [3, 6])
@pytest.mark.parametrize("name", ["l1", "group"])
def test_the_violation_is_what_it_says(K: int, name: str) -> None:
    X, y = make(K)
    weight = np.random.default_rng(1).uniform(0.2, 2, len(y))
    (path,) = fit_paths([posed(X, y, name, sample_weight=weight)], tol=1e-3)
    for i in range(9):
        assert kkt(path, i, X, y, get_penalty(name), weight) < 2e-3
    assert path.nonzeros[0] <= path.nonzeros[-1] and (np.diff(path.Cs) > 0).all()


@pytest.mark.parametrize("K", [2, 3])
def test_separable_rows_have_a_path(K: int) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(60) % K
    X = np.eye(K)[y] * 10 + rng.standard_normal((60, K))
    (path,) = fit_paths([posed(X, y)], tol=TIGHT)
    check_equal(path, fit_path(X, y, tol=TIGHT))


def test_float32_more_features_than_rows_and_a_missing_class() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 200)).astype(np.float32)
    y = rng.choice([0, 2, 3], 60)
    (path,) = fit_paths([posed(X, y, n_class=5)])
    expected = fit_path(X, y, n_class=5)
    assert path.coef.dtype == np.float32 and path.coef.shape == expected.coef.shape
    assert (path.kkt <= 0.1).all() and not path.coef[:, [1, 4]].any()
    np.testing.assert_allclose(path.objective, expected.objective, rtol=5e-3)


def test_companions_change_nothing_but_rounding() -> None:
    y = make(3)[1]
    problems = [posed(make(3, seed=seed)[0], y) for seed in range(5)]
    together, alone = fit_paths(problems), [fit_paths([one])[0] for one in problems]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_array_equal(one.n_iter, other.n_iter)
        np.testing.assert_allclose(one.coef, other.coef, atol=1e-8)


def test_stopping_early_is_said() -> None:
    X, y = make(3)
    (path,) = fit_paths([posed(X, y)], tol=1e-6, max_iter=5)
    assert path.kkt.max() > 1e-6 and path.n_iter.max() == 5
    tight = fit_path(X, y, tol=1e-7)
    excess = 1 - tight.objective / path.objective
    assert (excess >= -1e-9).all()


def test_room_is_counted_by_the_cell() -> None:
    X, y = make(6)
    problem = pose_problem(
        X, y, get_penalty("l1"), n_class=6, class_weight=None, sample_weight=None
    )
    assert device.site_bytes(problem) > 8 * X.size + 8 * 9 * 6 * len(y)
    assert device.usable_bytes("cpu") == device.CPU_ROOM


@pytest.mark.parametrize("name", ["l1", "group"])
@pytest.mark.parametrize("hard", HARD)
def test_hard_inputs_converge_on_host_and_device(hard: str, name: PenaltyName) -> None:
    X, y = HARD[hard]()
    X, tol = X.astype(np.float32), 1e-2
    (found,), expected = (
        fit_paths([posed(X, y, name)], tol=tol),
        fit_path(X, y, penalty=name, tol=tol),
    )
    for path in (found, expected):
        assert (path.kkt <= tol).all() and (path.gap <= tol).all()
        assert np.isfinite(path.coef).all() and np.isfinite(path.intercept).all()
    np.testing.assert_allclose(found.Cs, expected.Cs, rtol=1e-5)
    np.testing.assert_allclose(found.objective, expected.objective, rtol=tol)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("name", ["l1", "group"])
@pytest.mark.parametrize("hard", SILENT)
def test_where_nothing_can_be_learned_both_give_one_path(
    hard: str, name: PenaltyName, class_weight, dtype
) -> None:
    X, y = HARD[hard]()
    X, given = X.astype(dtype), {"class_weight": class_weight}
    told, other = posed(X, y, name, **given), posed(make_like(X, y), y, name, **given)
    (path,), pair = fit_paths([told]), fit_paths([other, told])
    expected = fit_path(X, y, penalty=name, class_weight=class_weight)
    for found in (path, pair[1]):  # whatever its companion learns
        for mine, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert pair[0].coef.any()
    assert not path.coef.any() and not path.n_iter.any() and not path.kkt.any()
    share = np.bincount(y) / len(y)
    share = share if class_weight is None else np.full(len(share), 1 / len(share))
    np.testing.assert_allclose(softmax(path.intercept, axis=1), [share] * 9, rtol=1e-6)
    # Each Cs is weak enough that no coefficient pays: as the loss says in float64.
    entropy = -len(y) * (share * np.log(share)).sum()
    np.testing.assert_allclose(path.objective, path.Cs * entropy, rtol=1e-5)


def test_a_path_of_nothing_has_a_row_for_a_class_without_examples() -> None:
    X, y = HARD["contradictory_thirds"]()
    y = np.array([0, 3, 4])[y]
    (path,), expected = fit_paths([posed(X, y, n_class=6)]), fit_path(X, y, n_class=6)
    for mine, theirs in zip(path, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert path.coef.shape == (9, 6, X.shape[1])
    assert path.logits(X, 0).argmax(axis=1).tolist() == [4] * len(y)


def test_given_strengths_are_kept_where_nothing_can_be_learned() -> None:
    X, y = HARD["contradictory"]()
    path = fit_path(X, y, Cs=np.array([1e9, 0.1]), X_val=X, y_val=y, patience=9)
    assert path.Cs.tolist() == [0.1, 1e9] and not path.coef.any()
    assert path.score.tolist() == [0.5, 0.5]


def make_like(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Features of the same shape and dtype, of which the first tells the classes."""
    out = np.random.default_rng(0).standard_normal(X.shape).astype(X.dtype)
    out[:, 0] += 2 * y
    return out


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [40, 4000])
@pytest.mark.parametrize("K", [2, 5])
def test_what_chance_makes_of_random_labels_is_no_rounding(K, n, dtype) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((n, 3)).astype(dtype), np.arange(n) % K
    problem = posed(X, y).problem
    strength = 2 * problem.row_factor / fit_path(X, y, n_C=1).Cs[0]
    assert strength > 20 * rounding_limit(problem)


@pytest.mark.parametrize("order", range(4))
@pytest.mark.parametrize("hard", SILENT)
def test_the_order_of_a_sum_makes_no_more_of_a_zero_than_rounding(hard, order) -> None:
    X, y = HARD[hard]()
    rows = np.random.default_rng(order).permutation(len(y))
    X, y = X[rows].astype(np.float32), y[rows]
    problem = pose_problem(
        X, y, get_penalty("group"), n_class=None, class_weight=None, sample_weight=None
    )
    target = problem.target
    P = np.bincount(y) / len(y)
    R = (P[-target.rows :, None] - target.one_hot()).astype(np.float32)
    by_one = np.zeros(R.shape[:1] + X.shape[1:], np.float32)  # the worst that one adds
    for i in range(len(y)):
        by_one += R[:, i, None] * problem.XT[:, i]
    assert problem.penalty.dual_norm(by_one) <= rounding_limit(problem) / 2
