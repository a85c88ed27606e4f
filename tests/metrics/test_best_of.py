"""The corrected score of the best of many, where the truth is known."""

import numpy as np
import pytest

from stc_core.metrics.best_of import best_of, corrected_best, score_interval
from stc_core.metrics.intervals import accuracy_interval, macro_f1_interval
from stc_core.metrics.resampling import Resamples, resample_scores


def coins(n: int, p: int, accuracy: float, seed: int):
    """Rows that are right (1) or wrong (0) for p classifiers, which share luck."""
    rng = np.random.default_rng(seed)
    shared, own = rng.random(n), rng.random((p, n))
    is_shared = rng.random((p, n)) < 0.5
    return (np.where(is_shared, shared, own) < accuracy).astype(np.int64)


def test_the_correction_by_hand() -> None:
    inside = np.array([[0.9, 0.5], [0.4, 0.6], [0.8, 0.2]])
    outside = np.array([[0.6, 0.5], [0.7, 0.5], [0.4, 0.3]])
    found = corrected_best(Resamples(np.array([0.7, 0.5]), inside, outside))
    # The chosen ones have .6, .5 and .4 outside, the means are .55, .6 and .35.
    assert found == pytest.approx(0.6 + (0.05 - 0.1 + 0.05) / 3)


@pytest.mark.parametrize("n", [60, 300])
def test_the_best_of_equal_ones_is_no_better_and_its_interval_says_so(n) -> None:
    """All have the accuracy .7, so that of the chosen one is .7."""
    y, raw, corrected, covered, alone = np.ones(n, np.int64), [], [], [], []
    for seed in range(120):
        right = coins(n, 40, 0.7, seed)
        found = best_of(y, right, resample_scores(y, right, n_resamples=200))
        assert found.low is not None and found.high is not None
        assert found.low <= found.value <= found.raw <= found.high
        assert found.tried == 40 and right[found.at].mean() == found.raw
        raw.append(found.raw)
        corrected.append(found.value)
        covered.append(found.low <= 0.7 <= found.high)
        low, high = accuracy_interval(found.raw, n)
        alone.append(low <= 0.7 <= high)
    # The sd of one accuracy is (.21 / n) ** .5; that of a mean of 120 is a tenth.
    sd = (0.21 / n) ** 0.5
    assert np.mean(raw) > 0.7 + 1.5 * sd
    assert np.mean(corrected) == pytest.approx(0.7, abs=0.3 * sd)
    # Two standard errors of a coverage of .95 in 120 trials are .04.
    assert np.mean(covered) > 0.91 > np.mean(alone)


def test_one_that_is_far_better_is_hardly_corrected() -> None:
    y = np.ones(400, np.int64)
    right = np.vstack([coins(400, 1, 0.9, 0), coins(400, 30, 0.5, 1)])
    found = best_of(y, right, resample_scores(y, right))
    assert found.at == 0 and found.value == pytest.approx(found.raw, abs=0.005)


def test_one_alone_keeps_its_score_and_interval() -> None:
    right = coins(200, 1, 0.8, 0)
    y = np.ones(200, np.int64)
    found = best_of(y, right, resample_scores(y, right))
    assert found.value == pytest.approx(found.raw, abs=0.005)
    assert (found.low, found.high) == pytest.approx(
        accuracy_interval(found.raw, 200), abs=0.006
    )


def test_macro_f1_is_corrected_or_has_no_interval() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=150)
    predicted = np.where(
        rng.random((20, 150)) < 0.7, y, rng.integers(3, size=(20, 150))
    )
    drawn = resample_scores(y, predicted, "macro_f1", n_resamples=100)
    found = best_of(y, predicted, drawn, "macro_f1")
    single = macro_f1_interval(y, predicted[found.at])
    assert single.low is not None and found.low is not None
    assert found.value < found.raw and found.high == single.high
    assert found.low == pytest.approx(single.low - (found.raw - found.value))
    few = best_of(y, predicted, drawn, "macro_f1", n_class=4)
    assert few.low is few.high is None
    assert few.reason == "1 of 4 classes has fewer than 3 texts"
    assert few.value == found.value


def test_the_interval_of_one_is_that_of_its_score() -> None:
    y, guess = np.repeat([0, 1], 20), np.tile([0, 1], 20)
    assert score_interval(y, guess).bounds == pytest.approx(accuracy_interval(0.5, 40))
    assert score_interval(y, guess, "macro_f1") == macro_f1_interval(y, guess)
