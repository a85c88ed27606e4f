"""Metrics against the explicit Hessian; the inner minimum against its conditions."""

import numpy as np
import pytest

from stc_core.probes.penalties import L1, GroupL2, Penalty
from stc_core.probes.quadratic import (
    WorkingSet,
    _thin,
    metric_apart,
    metric_coupled,
    solve_quadratic,
)

K, D, N = 3, 5, 60


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    XT = rng.standard_normal((D, N))
    return XT, rng.dirichlet(np.ones(K), N).T, rng.uniform(0.5, 2, N)


def hessian(XT, P, w) -> np.ndarray:
    """Of the loss in (W, b), rows apart first: (K * (D + 1), K * (D + 1))."""
    X1 = np.r_[XT, np.ones((1, N))]
    one = np.einsum("kl,kn->kln", np.eye(K), P) - P[:, None] * P[None]
    H = np.einsum("kln,n,in,jn->kilj", one, w, X1, X1)
    return H.reshape(K * (D + 1), K * (D + 1))


def eliminated(H: np.ndarray, rows: int) -> np.ndarray:
    """What is left of H when the intercepts are always at their best."""
    last = np.arange(rows * (D + 1)) % (D + 1) == D
    inner = np.linalg.pinv(H[np.ix_(last, last)])
    cross = H[np.ix_(~last, last)]
    return H[np.ix_(~last, ~last)] - cross @ inner @ cross.T


def full_set(rows: np.ndarray) -> WorkingSet:
    columns = np.tile(np.arange(D), (len(rows), 1))
    return WorkingSet(rows, columns, np.ones(columns.shape, bool))


def test_rows_apart_are_the_diagonal_blocks(data) -> None:
    XT, P, w = data
    metric = metric_apart(XT, full_set(np.arange(K)), P, w, effort=10.0)
    H = hessian(XT, P, w).reshape(K, D + 1, K, D + 1)
    for k in range(K):
        np.testing.assert_allclose(
            metric.gram[k], eliminated(H[k, :, k], 1), rtol=1e-4, atol=1e-4
        )
    assert (metric.top[:, 0] >= np.linalg.eigvalsh(metric.gram)[:, -1]).all()


@pytest.mark.parametrize("rows", [[0, 2], [0, 1, 2]])
def test_coupled_rows_are_the_whole_hessian(data, rows: list[int]) -> None:
    XT, P, w = data
    metric = metric_coupled(XT, full_set(np.array(rows)), P, w, effort=10.0)
    cells = np.concatenate([np.arange(k * (D + 1), (k + 1) * (D + 1)) for k in rows])
    H = hessian(XT, P, w)[np.ix_(cells, cells)]
    wanted = eliminated(H, len(rows))
    assert np.abs(metric.gram - wanted).max() < 2e-3 * np.abs(wanted).max()
    V = np.random.default_rng(1).standard_normal((len(rows), D))
    np.testing.assert_allclose(metric.product(V).ravel(), metric.gram @ V.ravel())


def test_padding_does_not_move(data) -> None:
    XT, P, w = data
    real = np.array([[True, True, False], [True, False, False], [False] * 3])
    at = WorkingSet(np.arange(K), np.tile([3, 1, 0], (K, 1)), real)
    G = np.where(real, 5.0, 0.0)
    for build in (metric_apart, metric_coupled):
        metric = build(XT, at, P, w, effort=10.0)
        U = solve_quadratic(metric, 0 * G, G, 0.1, penalty=L1(), tol=1e-9)
        assert (U[real] != 0).all() and not U[~real].any()


@pytest.mark.parametrize("build", [metric_apart, metric_coupled])
@pytest.mark.parametrize("penalty", [L1(), GroupL2()], ids=["l1", "group"])
def test_the_minimum_satisfies_its_kkt_conditions(
    data, build, penalty: Penalty
) -> None:
    XT, P, w = data
    rng = np.random.default_rng(2)
    metric = build(XT, full_set(np.arange(K)), P, w, effort=10.0)
    W, G = rng.standard_normal((K, D)), 20 * rng.standard_normal((K, D))
    G -= G.mean(axis=0)  # as of any log-loss: a shift of all classes changes nothing
    U = W
    for _ in range(8):  # each call gains a factor of twenty
        G_U = G + metric.product(U - W)
        U = solve_quadratic(metric, U, G_U, 3.0, penalty=penalty, tol=1e-9)
    far = penalty.distance(U, G + metric.product(U - W), 3.0)
    assert far.max() < 1e-6


def test_a_thinned_sum_is_close_and_keeps_heavy_examples() -> None:
    rng = np.random.default_rng(0)
    curvature = rng.uniform(0, 0.1, 20_000)
    curvature[[5, 77]] = 30
    picked, weight = _thin(curvature, 2000.0)
    assert picked is not None and {5, 77} <= set(picked)
    assert 1500 < len(picked) <= 2000
    assert weight.sum() == pytest.approx(curvature.sum(), rel=0.01)
    values = rng.standard_normal(20_000) ** 2
    assert weight @ values[picked] == pytest.approx(curvature @ values, rel=0.1)
    everything, same = _thin(curvature[:50], 10.0)
    assert everything is None and same is not None and len(same) == 50
