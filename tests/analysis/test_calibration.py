"""Calibration and abstaining, against what they are defined by."""

import numpy as np
import pytest
from scipy.special import softmax

from helpers.metrics import whole_metrics
from stc_core.analysis.calibration import (
    answer_above,
    calibration_bins,
    coverage_curve,
    temperature_of,
    untempered,
)
from stc_core.frames import records
from stc_core.metrics.scores import expected_calibration_error

RNG = np.random.default_rng(0)
LOGITS = 3 * RNG.normal(size=(400, 5))
CODES = RNG.integers(0, 5, 400)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_the_temperature_is_undone(temperature):
    cooled = softmax(LOGITS / temperature, axis=1)
    found = untempered(cooled, temperature)
    assert np.allclose(found, softmax(LOGITS, axis=1))


def test_stored_in_32_bits_it_is_undone_to_within_rounding():
    cooled = softmax(LOGITS / 0.3, axis=1).astype(np.float32)
    assert np.abs(untempered(cooled, 0.3) - softmax(LOGITS, axis=1)).max() < 1e-6


def test_the_weighted_gap_of_the_bins_is_the_ece():
    probabilities = softmax(LOGITS, axis=1)
    bins = calibration_bins(CODES, probabilities)
    gap = np.abs(bins["accuracy"].to_numpy() - bins["confidence"].to_numpy())
    ece = expected_calibration_error(CODES, probabilities)
    assert float((gap * bins["n"]).sum() / 400) == pytest.approx(ece)
    assert bins["n"].to_numpy().sum() == 400
    inside = bins[["start", "confidence", "end"]].to_numpy()
    assert (np.diff(inside, axis=1) >= 0).all()


def test_a_sure_row_is_in_the_last_bin():
    bins = calibration_bins(np.array([1]), np.array([[0.0, 1.0]]))
    assert bins[["end", "accuracy", "confidence"]].to_numpy().tolist() == [[1, 1, 1]]


def test_the_curve_says_what_each_threshold_answers():
    confidence = RNG.random(50).round(1)
    correct = RNG.random(50) < confidence
    curve = coverage_curve(confidence, correct)
    assert len(curve) == len(np.unique(confidence))
    for row in records(curve):
        kept = confidence >= row["threshold"]
        assert row["n"] == kept.sum()
        assert row["accuracy"] == correct[kept].mean()
        one = answer_above(confidence, correct, row["threshold"])
        assert (one.n, one.accuracy, one.low) == (row["n"], row["accuracy"], row["low"])
        assert one.coverage == row["coverage"]
    assert curve["coverage"].iloc[-1] == 1.0


def test_a_long_curve_is_thinned_and_keeps_its_ends():
    confidence = np.linspace(0.2, 1, 5000)
    curve = coverage_curve(confidence, confidence > 0.5, most=100)
    assert len(curve) == 100
    assert curve["n"].iloc[[0, -1]].tolist() == [1, 5000]


def test_nothing_answered_is_no_accuracy():
    none = answer_above(np.array([0.4]), np.array([True]), 0.9)
    assert np.isnan(none.accuracy)
    assert (none.coverage, none.low, none.high) == (0.0, 0.0, 1.0)


def test_the_temperature_of_a_run():
    assert temperature_of(whole_metrics(chosen={"temperature": 0.7})) == 0.7
    assert temperature_of(whole_metrics(chosen={"epochs": 8.0})) is None
    assert temperature_of(whole_metrics()) is None


def test_bins_of_few_texts_are_joined_with_their_neighbours():
    rng = np.random.default_rng(5)
    p = rng.dirichlet([0.4, 0.4], 90)
    codes = rng.integers(0, 2, 90)
    fine, joined = calibration_bins(codes, p), calibration_bins(codes, p, least=20)
    assert min(joined["n"].tolist()) >= 20
    assert sum(joined["n"].tolist()) == sum(fine["n"].tolist()) == 90
    for name in ("confidence", "accuracy"):
        sums = [bins[name].to_numpy() @ bins["n"].to_numpy() for bins in (fine, joined)]
        assert sums[0] == pytest.approx(sums[1])
    assert (joined["start"].to_numpy()[1:] >= joined["end"].to_numpy()[:-1]).all()


def test_too_few_texts_for_one_bin_make_one_bin():
    p = np.array([[0.9, 0.1], [0.6, 0.4]])
    assert calibration_bins(np.array([0, 1]), p, least=9)["n"].tolist() == [2]
