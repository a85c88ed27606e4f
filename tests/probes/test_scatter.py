"""Hidden-state variability against its definition, in every order of batches."""

import numpy as np
import pytest
import torch

from helpers.problems import dense
from stc_core.errors import StcError
from stc_core.probes.variability import Scatter, _variability, best_layer


def rows(n: int = 200, d: int = 7, K: int = 3, *, seed: int = 0, shares=None):
    rng = np.random.default_rng(seed)
    codes = np.concatenate([np.arange(K), rng.choice(K, n - K, p=shares)])
    X = rng.standard_normal((n, d)) @ rng.standard_normal((d, d))
    X += 2 * rng.standard_normal((K, d))[codes]
    return torch.tensor(X), torch.tensor(codes)


def streamed(X: torch.Tensor, codes: torch.Tensor, size: int) -> float:
    scatter = Scatter(torch.bincount(codes).numpy(), X.shape[1])
    for start in range(0, len(X), size):
        scatter.add(X[start : start + size], codes[start : start + size])
    return scatter.nu()


@pytest.mark.parametrize(
    ("n", "d", "K"), [(200, 7, 3), (20, 7, 2), (20, 30, 4), (300, 3, 9), (2, 4, 2)]
)
def test_it_is_the_dense_definition(n, d, K):
    X, codes = rows(n, d, K)
    assert _variability(X, codes) == pytest.approx(
        dense(X.numpy(), codes.numpy()), rel=1e-9, abs=1e-12
    )


@pytest.mark.parametrize("size", [1, 3, 64, 1000])
def test_batches_and_their_order_do_not_matter(size):
    X, codes = rows()
    turned = torch.randperm(len(X), generator=torch.Generator().manual_seed(1))
    exact = dense(X.numpy(), codes.numpy())
    assert streamed(X, codes, size) == pytest.approx(exact, rel=1e-11)
    assert streamed(X[turned], codes[turned], size) == pytest.approx(exact, rel=1e-11)


def test_two_classes_have_a_closed_form():
    X, codes = rows(40, 6, 2)
    apart = X[codes == 1].mean(0) - X[codes == 0].mean(0)
    spreads = [torch.cov(X[codes == y].T, correction=0) for y in (0, 1)]
    within = torch.stack(spreads).mean(0)
    expected = 2 * float(apart @ within @ apart) / float(apart @ apart) ** 2
    assert _variability(X, codes) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("K", [2, 5])
def test_rotation_shift_and_scale_change_nothing(K):
    X, codes = rows(K=K)
    turn = torch.linalg.qr(torch.randn(7, 7, dtype=torch.float64))[0]
    before = _variability(X, codes)
    for changed in (X @ turn, X + 1e4, 1e-3 * X, 50 * (X @ turn) - 7):
        assert _variability(changed, codes) == pytest.approx(before, rel=1e-6)


def test_the_names_of_the_classes_do_not_matter():
    X, codes = rows(K=4)
    renamed = torch.tensor([2, 0, 3, 1])[codes]
    assert _variability(X, renamed) == pytest.approx(_variability(X, codes), rel=1e-10)


def test_copies_of_a_class_change_nothing():
    """Every class weighs the same, however many rows it has."""
    X, codes = rows(60)
    rare = codes == 1
    many = torch.cat([X, *[X[rare]] * 5])
    names = torch.cat([codes, *[codes[rare]] * 5])
    assert _variability(many, names) == pytest.approx(_variability(X, codes), rel=1e-10)


def test_imbalance_and_few_rows_keep_the_order_of_layers():
    """A layer with means twice as far apart has a quarter of the variability."""
    for n, shares in ((4000, None), (4000, (0.94, 0.04, 0.02)), (20, None)):
        rng = np.random.default_rng(3)
        codes = np.concatenate([np.arange(3), rng.choice(3, n - 3, p=shares)])
        noise = rng.standard_normal((n, 5))
        means = 3 * np.eye(3, 5)
        near, far = (noise + k * means[codes] for k in (1, 2))
        near_nu, far_nu = (
            _variability(torch.tensor(X), torch.tensor(codes)) for X in (near, far)
        )
        assert far_nu < 0.5 * near_nu
        if n > 1000:
            assert far_nu == pytest.approx(near_nu / 4, rel=0.15)


def test_a_large_common_offset_costs_no_precision():
    X, codes = rows()
    assert streamed(X + 1e6, codes, 32) == pytest.approx(_variability(X, codes), 1e-6)


def test_float32_rows_are_added_up_in_float64():
    X, codes = rows(5000)
    single = X.float()
    assert streamed(single, codes, 10) == pytest.approx(
        dense(single.numpy(), codes.numpy()), rel=1e-10
    )


def test_a_layer_where_all_means_are_the_same_tells_nothing():
    X = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]], dtype=torch.float64)
    assert _variability(X, torch.tensor([0, 0, 1, 1])) == float("inf")


def test_rows_without_any_spread_have_none():
    X = torch.eye(3, dtype=torch.float64)
    assert _variability(X, torch.tensor([0, 1, 2])) == 0


@pytest.mark.parametrize("counts", [[5], [3, 0, 2], []])
def test_classes_without_rows_are_refused(counts):
    with pytest.raises(StcError, match="at least 2 classes"):
        Scatter(counts, 4)


def test_the_best_layer_is_the_first_of_the_least():
    assert best_layer([3.0, float("inf"), 1.0, 1.0]) == 2
