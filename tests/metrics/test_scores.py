"""Scores against scikit-learn and against plain resampling."""

import time

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, f1_score
from sklearn.metrics import log_loss as sklearn_log_loss

from stc_core.errors import StcError
from stc_core.metrics.scores import (
    accuracy,
    bootstrap_interval,
    expected_calibration_error,
    fit_temperature,
    log_loss,
    macro_f1,
    metric_of,
    wilson_interval,
)


@pytest.fixture
def labels() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.choice(["a", "b", "c"], p=[0.7, 0.2, 0.1], size=300)
    predicted = np.where(rng.random(300) < 0.7, y, rng.choice(["a", "b", "d"], 300))
    return y, predicted


def test_accuracy_and_macro_f1_equal_scikit_learn(labels) -> None:
    y, predicted = labels
    assert accuracy(y, predicted) == pytest.approx(accuracy_score(y, predicted))
    wanted = f1_score(y, predicted, average="macro", zero_division=0.0)  # pyright: ignore
    assert macro_f1(y, predicted) == pytest.approx(wanted)


@pytest.mark.parametrize("metric", [accuracy, macro_f1])
def test_counts_drawn_directly_give_the_interval_of_resampled_rows(
    labels, metric
) -> None:
    y, predicted = labels
    fast = bootstrap_interval(y, predicted, metric, seed=0, n=4000)
    plain = bootstrap_interval(y, predicted, lambda a, b: metric(a, b), seed=1, n=1000)
    np.testing.assert_allclose(fast, plain, atol=0.012)
    assert fast[0] < metric(y, predicted) < fast[1]
    assert fast == bootstrap_interval(y, predicted, metric, seed=0, n=4000)


def test_a_wider_level_gives_a_wider_interval(labels) -> None:
    narrow = bootstrap_interval(*labels, seed=0, level=0.5)
    wide = bootstrap_interval(*labels, seed=0, level=0.99)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_a_thousand_resamples_of_twenty_thousand_rows_are_quick() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(77, size=20_000)
    predicted = np.where(rng.random(20_000) < 0.8, y, rng.integers(77, size=20_000))
    start = time.perf_counter()
    bootstrap_interval(y, predicted, macro_f1, seed=0)
    assert time.perf_counter() - start < 5


def test_log_loss_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.ones(4), 50)
    y = rng.integers(4, size=50)
    wanted = sklearn_log_loss(y, P, labels=[0, 1, 2, 3])
    assert log_loss(y, P) == pytest.approx(wanted)


def test_calibration_error_by_hand() -> None:
    P = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.45, 0.55]])
    y = np.array([0, 1, 1, 1])
    # bins of width .1: {.9, .9} right 1 of 2; {.6} right; {.55} right
    wanted = (abs(1 - 1.8) + (1 - 0.6) + (1 - 0.55)) / 4
    assert expected_calibration_error(y, P, n_bins=10) == pytest.approx(wanted)


def test_a_known_temperature_is_found_again() -> None:
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((5000, 3))
    y = (Z + rng.gumbel(size=Z.shape)).argmax(axis=1)
    T = fit_temperature(3 * Z, y)
    assert T == pytest.approx(3, rel=0.06)
    P = np.exp(3 * Z / T)
    P /= P.sum(axis=1, keepdims=True)
    assert expected_calibration_error(y, P) < 0.03


@pytest.mark.parametrize("n_class", [2, 3, 12])
def test_temperature_of_few_separable_rows_is_inside_its_bounds(n_class: int) -> None:
    """24 rows, all right by 10: the mean confidence is the smoothed target, 25 / 26."""
    y = np.arange(24) % n_class
    Z = 10.0 * np.eye(n_class)[y]
    T = fit_temperature(Z, y)
    assert 1 / 20 < T < 20
    confidence = 1 / (1 + (n_class - 1) * np.exp(-10 / T))
    assert confidence == pytest.approx(25 / 26, abs=1e-4)


def test_temperature_of_logits_that_are_all_wrong_says_nothing_is_known() -> None:
    Z = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert 15 < fit_temperature(Z, np.array([1, 0])) < 21


@pytest.mark.parametrize("metric", [accuracy, macro_f1])
def test_an_interval_of_perfect_predictions_is_not_a_point(metric) -> None:
    y = np.array(list("abc") * 8)
    wilson = binomtest(24, 24).proportion_ci(0.95, method="wilson")
    low, high = bootstrap_interval(y, y, metric, seed=0)
    assert (low, high) == pytest.approx((wilson.low, 1.0))
    assert bootstrap_interval(y, y, metric, seed=0, level=0.5)[0] > low
    none = bootstrap_interval(y, np.full(24, "d"), metric, seed=0)
    assert none == pytest.approx((0.0, 1 - wilson.low))


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


def test_choices_are_made_by_macro_f1_where_classes_weigh_alike() -> None:
    assert metric_of(None) is accuracy and metric_of("balanced") is macro_f1


def test_lengths_that_differ_are_named() -> None:
    with pytest.raises(StcError, match="3 labels and 2 predictions"):
        accuracy(np.zeros(3), np.zeros(2))
