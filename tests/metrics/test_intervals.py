"""Intervals against SciPy, against other formulas, and by their simulated coverage."""

import time

import numpy as np
import pytest
from scipy.stats import binomtest

from stc_core.metrics.intervals import (
    accuracy_interval,
    least_rows,
    macro_f1_bounds,
    macro_f1_interval,
    wilson_interval,
)
from stc_core.metrics.scores import macro_f1


def populations(n_class: int, accuracy: float, *, rare: float | None = None):
    """The shares of (true, predicted) pairs; the last class may be rare."""
    shares = np.full(n_class, 1 / n_class)
    if rare is not None:
        shares = np.full(n_class, (1 - rare) / (n_class - 1))
        shares[-1] = rare
    wrong = (1 - accuracy) / (n_class - 1)
    rows = np.full((n_class, n_class), wrong) + (accuracy - wrong) * np.eye(n_class)
    return shares[:, None] * rows


def f1_of(cells: np.ndarray) -> float:
    return float(np.mean(2 * cells.diagonal() / (cells.sum(0) + cells.sum(1))))


@pytest.mark.parametrize("n", [1, 7, 300])
def test_wilson_is_scipys_for_every_count(n: int) -> None:
    hits = np.arange(n + 1)
    low, high = wilson_interval(hits, np.full(n + 1, n))
    wanted = [binomtest(k, n).proportion_ci(0.95, method="wilson") for k in hits]
    assert np.allclose(low, [one.low for one in wanted], atol=1e-12)
    assert np.allclose(high, [one.high for one in wanted], atol=1e-12)


def test_of_no_rows_nothing_is_known() -> None:
    low, high = wilson_interval(np.array([0]), np.array([0]))
    assert (low[0], high[0]) == (0.0, 1.0)


def test_an_accuracy_has_wilsons_interval() -> None:
    wanted = binomtest(35, 50).proportion_ci(0.95, method="wilson")
    assert accuracy_interval(0.7, 50) == pytest.approx((wanted.low, wanted.high))
    narrow, wide = accuracy_interval(0.7, 50, 0.5), accuracy_interval(0.7, 50, 0.99)
    assert wide[0] < narrow[0] < 0.7 < narrow[1] < wide[1]


def test_with_many_rows_the_interval_is_that_of_resampled_rows() -> None:
    rng = np.random.default_rng(0)
    cells = rng.multinomial(20_000, populations(4, 0.7, rare=0.1).ravel())
    drawn = rng.multinomial(20_000, cells / 20_000, size=4000).reshape(-1, 4, 4)
    wanted = np.quantile([f1_of(table) for table in drawn], [0.025, 0.975])
    low, high = macro_f1_bounds(cells.reshape(1, 4, 4))
    # The standard error of a 2.5 % quantile of 4,000 draws is .04 of the sd, which is
    # a quarter of the width.
    tolerance = 4 * 0.04 * (wanted[1] - wanted[0]) / 4
    assert (low[0], high[0]) == pytest.approx(tuple(wanted), abs=tolerance)


def test_two_balanced_classes_with_many_rows_have_the_interval_of_the_accuracy() -> (
    None
):
    """With as many errors either way, macro-F1 moves as the accuracy does."""
    cells = np.array([[[4000, 1000], [1000, 4000]]])
    low, high = macro_f1_bounds(cells)
    assert (low[0], high[0]) == pytest.approx(accuracy_interval(0.8, 10_000), abs=1e-4)


@pytest.mark.parametrize(
    ("n_class", "n", "accuracy", "rare"),
    [(2, 150, 0.9, 0.1), (10, 400, 0.8, 0.02), (40, 600, 0.8, None)],
)
def test_the_interval_covers_the_macro_f1_of_the_population(
    n_class, n, accuracy, rare
) -> None:
    cells = populations(n_class, accuracy, rare=rare)
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(n, cells.ravel(), size=2000).reshape(-1, n_class, n_class)
    drawn = drawn[drawn.sum(axis=2).min(axis=1) >= least_rows(n_class)]
    low, high = macro_f1_bounds(drawn)
    covered = np.mean((low <= f1_of(cells)) & (f1_of(cells) <= high))
    # Three standard errors of a coverage of .95 in 2,000 tables are .015.
    assert len(drawn) > 1000 and covered > 0.95 - 0.02


def test_predictions_give_the_interval_of_their_counts() -> None:
    rng = np.random.default_rng(0)
    y = rng.choice(list("abc"), 300)
    predicted = np.where(rng.random(300) < 0.7, y, rng.choice(list("abc"), 300))
    found = macro_f1_interval(y, predicted)
    assert found.low is not None and found.high is not None and not found.reason
    assert found.low < macro_f1(y, predicted) < found.high
    assert found.bounds == (found.low, found.high)
    wide = macro_f1_interval(y, predicted, level=0.99)
    assert wide.low is not None and wide.low < found.low


@pytest.mark.parametrize(
    ("labels", "n_class", "reason"),
    [
        ("a" * 30 + "b" * 30 + "c" * 2, None, "1 of 3 classes has fewer than 4 texts"),
        ("a" * 30 + "b" * 4, None, "1 of 2 classes has fewer than 5 texts"),
        ("abcd" * 5, 6, "2 of 6 classes have fewer than 3 texts"),
        ("abcd" * 5, None, ""),
    ],
)
def test_too_few_rows_of_a_class_are_told(labels, n_class, reason) -> None:
    y = np.array(list(labels))
    found = macro_f1_interval(y, y, n_class=n_class)
    assert found.reason == reason and (found.bounds is None) == bool(reason)


def test_perfect_predictions_have_a_width() -> None:
    y = np.array(list("ab") * 12)
    wilson = binomtest(24, 24).proportion_ci(0.95, method="wilson")
    found = macro_f1_interval(y, y)
    assert found.bounds == pytest.approx((wilson.low, 1.0))
    uneven = macro_f1_interval(
        np.array(list("a" * 200 + "b" * 6)), np.array(list("a" * 200 + "b" * 6))
    )
    # Wilson's end for the six is s = 6 / (6 + 3.84); F1 = 2 s / (1 + s) weighs half.
    assert uneven.low == pytest.approx(1 - (1 - 2 * 0.6097 / 1.6097) / 2, abs=0.01)


def test_a_table_of_many_rows_and_classes_is_quick() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(77, size=20_000)
    predicted = np.where(rng.random(20_000) < 0.8, y, rng.integers(77, size=20_000))
    start = time.perf_counter()
    assert macro_f1_interval(y, predicted).bounds is not None
    assert time.perf_counter() - start < 5
