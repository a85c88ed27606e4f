"""Penalties against their definitions: prox, dual norm and optimality by search."""

import numpy as np
import pytest
from scipy.optimize import minimize

from stc_core.errors import StcError
from stc_core.probes.penalties import L1, GroupL2, Penalty, get_penalty, lambda_max

PENALTIES = [L1(), GroupL2()]
ids = ["l1", "group"]


@pytest.fixture
def V() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((3, 4))


@pytest.mark.parametrize("penalty", PENALTIES, ids=ids)
def test_prox_minimises_its_objective(penalty: Penalty, V: np.ndarray) -> None:
    def objective(u: np.ndarray) -> float:
        U = u.reshape(V.shape)
        return 0.5 * float(((U - V) ** 2).sum()) + 0.7 * penalty.value(U)

    U = penalty.prox(V, 0.7)
    found = minimize(objective, V.ravel(), method="Powell", options={"xtol": 1e-9})
    assert objective(U.ravel()) <= found.fun + 1e-9
    np.testing.assert_allclose(U.ravel(), found.x, atol=1e-3)


@pytest.mark.parametrize("penalty", PENALTIES, ids=ids)
def test_distance_is_zero_at_the_prox_and_only_there(
    penalty: Penalty, V: np.ndarray
) -> None:
    lam = 0.9 * penalty.dual_norm(V)
    U = penalty.prox(V, lam)
    assert (U == 0).any() and (U != 0).any()
    assert penalty.distance(U, U - V, lam).max() < 1e-12
    assert penalty.distance(U + 0.1, U + 0.1 - V, lam).max() > 0.05


@pytest.mark.parametrize("penalty", PENALTIES, ids=ids)
def test_dual_norm_bounds_the_inner_product_and_is_reached(
    penalty: Penalty, V: np.ndarray
) -> None:
    rng = np.random.default_rng(1)
    W = rng.standard_normal((200, 3, 4))
    ratios = [(V * w).sum() / penalty.value(w) for w in W]
    assert max(ratios) <= penalty.dual_norm(V) + 1e-12
    j = np.argmax(np.linalg.norm(V, axis=0))
    best = np.zeros_like(V)
    best[:, j] = V[:, j]
    if isinstance(penalty, L1):
        best = np.where(np.abs(V) == np.abs(V).max(), V, 0)
    reached = (V * best).sum() / penalty.value(best)
    assert reached == pytest.approx(penalty.dual_norm(V))


@pytest.mark.parametrize("penalty", PENALTIES, ids=ids)
def test_zero_is_optimal_from_lambda_max_on(penalty: Penalty, V: np.ndarray) -> None:
    zero, top = np.zeros_like(V), lambda_max(penalty, V)
    assert penalty.distance(zero, V, top).max() <= 1e-12
    assert penalty.distance(zero, V, 0.99 * top).max() > 0


@pytest.mark.parametrize("penalty", PENALTIES, ids=ids)
def test_one_row_is_the_cheapest_pair_of_rows(penalty: Penalty) -> None:
    splits = [np.array([[s - 1.0], [s]]) for s in np.linspace(-1, 2, 301)]
    cheapest = min(penalty.value(pair) for pair in splits)
    assert penalty.one_row == pytest.approx(cheapest)
    assert penalty.value(np.array([[-0.5], [0.5]])) == pytest.approx(cheapest)


def test_group_keeps_whole_columns(V: np.ndarray) -> None:
    U = GroupL2().prox(V, 1.5)
    zero = U == 0
    assert (zero.all(axis=0) == zero.any(axis=0)).all()


def test_an_unknown_penalty_is_named() -> None:
    with pytest.raises(StcError, match="'l2'"):
        get_penalty("l2")
