"""The path solver against saga, plain proximal gradient and the KKT conditions."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from helpers.problems import kkt, make
from stc_core.errors import StcError
from stc_core.probes.penalties import L1, GroupL2, get_penalty
from stc_core.probes.problem import Path
from stc_core.probes.solver import fit_path


def log_losses(Z: np.ndarray, y: np.ndarray) -> np.ndarray:
    Z = Z - Z.max(axis=1, keepdims=True)
    return np.log(np.exp(Z).sum(axis=1)) - Z[np.arange(len(y)), y]


def objective(path: Path, i: int, X, y, penalty, weight=None) -> float:
    """C * sum w log-loss + penalty, from the K rows that the path reports."""
    Z = (X - path.mean) / path.sd @ path.coef[i].T + path.intercept[i]
    weight = np.ones(len(y)) if weight is None else weight
    return path.Cs[i] * weight @ log_losses(Z, y) + penalty.value(path.coef[i])


@pytest.mark.parametrize("K", [2, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_l1_objective_equals_saga(K: int, dtype) -> None:
    X, y = make(K)
    Xs = StandardScaler().fit_transform(X)
    Cs = np.array([0.1, 0.5, 5.0])
    path = fit_path(X.astype(dtype), y, Cs=Cs, tol=1e-4)
    for i, C in enumerate(Cs):
        saga = LogisticRegression(
            C=C, l1_ratio=1, solver="saga", tol=1e-9, max_iter=50_000, random_state=0
        ).fit(Xs, y)
        Z = saga.decision_function(Xs)
        Z = np.stack([-Z / 2, Z / 2], axis=1) if K == 2 else Z
        wanted = C * log_losses(Z, y).sum() + np.abs(saga.coef_).sum()
        ours = objective(path, i, X, y, L1())
        assert ours == pytest.approx(wanted, rel=1e-6)
        assert path.objective[i] == pytest.approx(ours, rel=1e-6)


@pytest.mark.parametrize("K", [2, 3, 5])
@pytest.mark.parametrize("name", ["l1", "group"])
def test_every_probe_of_a_path_is_optimal(name, K: int) -> None:
    X, y = make(K, seed=K)
    weight = np.random.default_rng(1).uniform(0.2, 2, len(y))
    path = fit_path(X, y, penalty=name, sample_weight=weight, tol=1e-3)
    assert path.coef.shape == (9, K, X.shape[1])
    assert (np.diff(path.Cs) > 0).all()
    assert (path.kkt <= 1e-3).all() and (path.gap < 5e-4).all()
    assert path.nonzeros[0] <= path.nonzeros[-1]
    for i in range(9):
        if K == 2 and name == "l1":  # any split of w has the same L1 norm
            continue
        assert kkt(path, i, X, y, get_penalty(name), weight) < 2e-3


def test_group_objective_equals_plain_proximal_gradient() -> None:
    X, y = make(3, n=120, d=6)
    path = fit_path(X, y, penalty="group", Cs=np.array([0.1]), tol=1e-6)
    Xs = StandardScaler().fit_transform(X)
    step = 2 / np.linalg.norm(np.c_[Xs, np.ones(120)], 2) ** 2
    W, b, Y = np.zeros((3, 6)), np.zeros(3), np.eye(3)[y]
    for _ in range(20_000):
        P = np.exp(Xs @ W.T + b)
        R = (P / P.sum(axis=1, keepdims=True) - Y).T
        W = GroupL2().prox(W - step * R @ Xs, float(step / 0.1))
        b = b - step * R.sum(axis=1)
    wanted = 0.1 * log_losses(Xs @ W.T + b, y).sum() + GroupL2().value(W)
    assert objective(path, 0, X, y, GroupL2()) == pytest.approx(wanted, rel=1e-7)
    np.testing.assert_allclose(path.coef[0], W, atol=1e-5)


@pytest.mark.parametrize("name", ["l1", "group"])
def test_the_gap_bounds_the_true_suboptimality(name) -> None:
    X, y = make(3)
    Cs = np.array([0.05, 0.5])
    loose = fit_path(X, y, penalty=name, Cs=Cs, tol=0.3)
    tight = fit_path(X, y, penalty=name, Cs=Cs, tol=1e-6)
    excess = 1 - tight.objective / loose.objective
    assert (excess >= -1e-9).all()
    assert (excess <= loose.gap + 1e-9).all()
    assert (loose.gap < 0.1).all()


@pytest.mark.parametrize("name", ["l1", "group"])
@pytest.mark.parametrize("K", [2, 3])
def test_lambda_max_is_where_the_first_feature_enters(name, K: int) -> None:
    X, y = make(K)
    top = 2 / fit_path(X, y, penalty=name, n_C=2).Cs[0]  # a path starts at half of it
    edge = fit_path(X, y, penalty=name, Cs=np.array([1.01, 0.99]) / top, tol=1e-6)
    assert edge.nonzeros.tolist() == [0, 1]


def test_two_rows_are_opposite_and_share_the_norm_of_one() -> None:
    X, y = make(2)
    path = fit_path(X, y)
    np.testing.assert_array_equal(path.coef[:, 0], -path.coef[:, 1])
    np.testing.assert_array_equal(path.intercept[:, 0], -path.intercept[:, 1])


def test_weights_count_as_repetitions_and_balance() -> None:
    X, y = make(3)
    times = np.random.default_rng(0).integers(0, 4, len(y))
    Cs = np.array([0.2])
    weighted = fit_path(X, y, Cs=Cs, sample_weight=times.astype(float), tol=1e-6)
    repeated = fit_path(X.repeat(times, axis=0), y.repeat(times), Cs=Cs, tol=1e-6)
    np.testing.assert_allclose(weighted.coef, repeated.coef, atol=1e-5)
    balanced = fit_path(X, y, Cs=Cs, class_weight="balanced", tol=1e-6)
    weight = len(y) / (3 * np.bincount(y))
    given = fit_path(X, y, Cs=Cs, class_weight=weight, tol=1e-6)
    np.testing.assert_array_equal(balanced.coef, given.coef)
    assert kkt(balanced, 0, X, y, L1(), weight[y]) < 1e-4


def test_constant_and_duplicated_columns_and_large_offsets() -> None:
    X, y = make(3)
    odd = np.c_[X, np.full(len(X), 7.3), X[:, :3], X[:, :3] + 1e4, np.zeros(len(X))]
    plain = fit_path(X, y, tol=1e-3)
    path = fit_path(odd.astype(np.float32), y, tol=1e-3)
    assert (path.kkt <= 1e-3).all()
    np.testing.assert_allclose(path.objective, plain.objective, rtol=1e-4)
    assert not path.coef[:, :, [15, 22]].any()
    assert path.sd[15] == 1 and path.sd[22] == 1


def test_half_precision_features_are_taken_as_they_are() -> None:
    X, y = make(3)
    half = (X / 10).astype(np.float16)
    one = fit_path(half, y)
    other = fit_path(half.astype(np.float32), y)
    np.testing.assert_array_equal(one.coef, other.coef)
    assert one.coef.dtype == np.float32


@pytest.mark.parametrize("K", [2, 3])
def test_separable_data_reports_its_gap(K: int) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(60) % K
    X = np.eye(K)[y] * 10 + rng.standard_normal((60, K))
    path = fit_path(X, y, Cs=np.array([0.1, 10.0, 1e4]), tol=1e-2)
    assert np.isfinite(path.coef).all() and np.isfinite(path.intercept).all()
    assert (path.kkt[:2] <= 1e-2).all()
    assert (path.gap[:2] < 1e-2).all()


@pytest.mark.parametrize("K", [2, 7])
def test_more_features_than_examples(K: int) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 300))
    y = np.r_[np.arange(K), rng.integers(K, size=20 - K)]
    path = fit_path(X, y, tol=1e-2)
    assert (path.kkt <= 1e-2).all() and (path.gap < 1e-2).all()


def test_many_classes() -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((150, 40))
    y = np.repeat(np.arange(150), 6)
    X = centres[y] + 0.5 * rng.standard_normal((900, 40))
    path = fit_path(X, y, tol=0.1)
    assert (path.kkt <= 0.1).all()
    guess = path.logits(X, 8).argmax(axis=1)
    assert (guess == y).mean() > 0.8


def test_a_missing_class_is_never_predicted_but_has_its_row() -> None:
    X, y = make(3)
    y = np.where(y == 1, 3, y)  # classes 0, 2, 3 of 5
    path = fit_path(X, y, n_class=5)
    assert path.coef.shape[1] == 5
    assert not path.coef[:, [1, 4]].any()
    assert set(path.logits(X, 8).argmax(axis=1)) <= {0, 2, 3}
    two = fit_path(X[y > 0], y[y > 0], n_class=5)
    assert not two.coef[:, [0, 1, 4]].any() and two.coef[-1, 2].any()


def test_the_path_ends_when_validation_stops_rising() -> None:
    X, y = make(2, n=60, d=40)
    X_val, y_val = make(2, n=60, d=40, seed=9)
    full = fit_path(X, y, X_val=X_val, y_val=y_val, patience=9)
    short = fit_path(X, y, X_val=X_val, y_val=y_val, patience=1)
    n = len(short.Cs)
    assert n < len(full.Cs) == 9
    assert short.score[-1] <= short.score[:-1].max()
    np.testing.assert_array_equal(short.score, full.score[:n])
    i = int(np.argmax(short.score))
    guess = full.logits(X_val, i).argmax(axis=1)
    assert short.score[i] == np.mean(guess == y_val)


def test_a_rare_class_does_not_end_the_path_at_its_start() -> None:
    rng = np.random.default_rng(0)
    y = (np.arange(600) % 20 == 0).astype(int)
    X = rng.standard_normal((600, 8)) + 0.9 * y[:, None] * (np.arange(8) < 3)
    path = fit_path(X[:300], y[:300], X_val=X[300:], y_val=y[300:], patience=1)
    np.testing.assert_allclose(path.score[:3], 0.95)  # all are of the common class
    assert path.score.max() > 0.955


def test_one_class_and_senseless_strengths_are_refused() -> None:
    X, y = make(2)
    with pytest.raises(StcError, match="at least 2 classes"):
        fit_path(X, np.zeros_like(y))
    with pytest.raises(StcError, match="C: expected a positive number"):
        fit_path(X, y, Cs=np.array([0.0]))


def test_nearly_collinear_features_at_a_weak_penalty_take_few_steps() -> None:
    X, y = make(2, n=400, d=10)
    rng = np.random.default_rng(0)
    near = np.concatenate(
        [X + 1e-3 * rng.standard_normal(X.shape) for _ in range(4)], 1
    )
    path = fit_path(near, y, Cs=np.array([1.0, 100.0]), tol=1e-2)
    assert (path.kkt <= 1e-2).all() and path.n_iter.max() <= 20
