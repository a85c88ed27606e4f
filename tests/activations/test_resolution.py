"""Columns that only rounding varies are not learned from; all others are."""

import numpy as np
import pytest
import torch

from helpers.models.tiny import TEXTS, tiny_backbone
from stc_core.activations.extract import extract
from stc_core.activations.resolution import resolved_columns, resolved_reader
from stc_core.types import PooledSite, Site

SITE = PooledSite(Site(1, "mlp"), "first")


def columns(rng: np.random.Generator, n: int = 200) -> np.ndarray:
    """A site of usual size 1: 40 usual columns, then those named in the tests."""
    usual = rng.standard_normal((n, 40)) * rng.uniform(0.2, 2, 40)
    noise = rng.standard_normal((n, 1))
    odd = [
        1e-7 * noise,  # what rounding leaves of a saturated unit
        1e-3 * noise,  # still close to it
        1e-2 * noise,  # small, but real
        1000 + 1e-1 * noise,  # small beside its own mean
        1000 + 10 * noise,  # a huge column that varies
        np.zeros((n, 1)),
        np.full((n, 1), 0.1),
    ]
    return np.concatenate([usual, *odd], axis=1).astype(np.float32)


def test_by_size():
    found = resolved_columns(columns(np.random.default_rng(0)))
    assert found[:40].all()
    assert found[40:].tolist() == [False, False, True, False, True, False, False]


@pytest.mark.parametrize(
    ("dtype", "small", "usual"),
    [(torch.float32, True, True), (torch.float16, False, True)],
)
def test_half_precision_resolves_less(dtype, small, usual):
    found = resolved_columns(columns(np.random.default_rng(0)), dtype=dtype)
    assert bool(found[42]) is small  # sd 1 % of the usual size
    assert bool(found[:40].all()) is usual


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e5])
def test_the_unit_does_not_matter(scale):
    X = columns(np.random.default_rng(0))
    np.testing.assert_array_equal(
        resolved_columns(X * np.float32(scale)), resolved_columns(X)
    )


def test_a_few_huge_columns_hide_no_other():
    """In many decoders a few residual dimensions are 1,000 times larger."""
    X = np.random.default_rng(0).standard_normal((200, 64)).astype(np.float32)
    X[:, :2] = 3e4 + 3e3 * X[:, :2]
    assert resolved_columns(X).all()


def test_a_site_of_constants_has_nothing_to_learn():
    assert not resolved_columns(np.full((9, 4), 3.0, np.float32)).any()


def test_a_dead_site_but_for_one_neuron():
    """After a ReLU most columns can be 0 throughout."""
    X = np.zeros((200, 50), np.float32)
    X[::7, 3] = 0.4
    assert np.flatnonzero(resolved_columns(X)).tolist() == [3]


class _Store:
    """Features in memory, which notes what was read."""

    def __init__(self, X: np.ndarray) -> None:
        self.X, self.asked = X, []

    def read(self, pooled_site, rows=None):
        self.asked.append(rows)
        return self.X.copy() if rows is None else self.X[rows]


def test_the_reader_gives_zeros_and_only_training_rows_decide():
    X = columns(np.random.default_rng(0), 400)
    train = np.arange(200)
    X[train, 0] = 0.0  # varies in the other rows alone
    store = _Store(X)
    read = resolved_reader(store, [SITE], train, dtype=torch.float32)
    assert max(rows.max() for rows in store.asked) < 200
    assert read.left_out == 6
    out, kept = read(SITE), read.resolved[SITE]
    assert not out[:, ~kept].any() and not kept[0]
    np.testing.assert_array_equal(out[:, kept], X[:, kept])


def test_very_many_rows_are_looked_at_evenly():
    store = _Store(np.random.default_rng(0).standard_normal((50_000, 3), np.float32))
    resolved_reader(store, [SITE], np.arange(50_000), dtype=torch.float32)
    (rows,) = store.asked
    assert len(rows) == 20_000 and rows[0] == 0 and rows[-1] == 49_999


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_neuron_that_fires_for_few_texts_is_kept(dtype):
    X = np.random.default_rng(0).standard_normal((8000, 9)).astype(np.float32)
    X[:, 3] = 0
    X[[5, 700, 4000, 7999], 3] = 1.5
    assert resolved_columns(X, dtype=dtype).all()


def test_a_saturated_unit_is_left_out_of_a_real_store(tmp_path):
    """One that answers -8 +- 1e-3 before the GELU: some 1e-14 is left, and rounding."""
    backbone = tiny_backbone("bert")
    layer = backbone.model.get_submodule("encoder.layer.0.intermediate.dense")
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, torch.Tensor) and isinstance(bias, torch.Tensor)
    before = weight[5].clone(), bias[5].clone()
    with torch.no_grad():
        weight[5] *= 1e-3
        bias[5] = -8.0
    try:
        store = extract(backbone, TEXTS, [SITE], folder=tmp_path)
    finally:
        with torch.no_grad():
            weight[5], bias[5] = before
    rows = np.arange(len(TEXTS))
    read = resolved_reader(store, [SITE], rows, dtype=backbone.dtype)
    assert not read.resolved[SITE][5]
    assert read.resolved[SITE].mean() > 0.5
