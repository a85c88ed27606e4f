"""Scores against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score
from sklearn.metrics import log_loss as sklearn_log_loss

from stc_core.errors import StcError
from stc_core.metrics.scores import (
    accuracy,
    expected_calibration_error,
    fit_temperature,
    log_loss,
    macro_f1,
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


def test_lengths_that_differ_are_named() -> None:
    with pytest.raises(StcError, match="3 labels and 2 predictions"):
        accuracy(np.zeros(3), np.zeros(2))
