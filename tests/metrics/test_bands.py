"""Bands of many scores, and the scores that may be the best, in simulated rows."""

import numpy as np
from scipy.special import ndtr, ndtri

from stc_core.metrics.bands import may_be_best, simultaneous_level
from stc_core.metrics.intervals import exact_interval
from stc_core.metrics.resampling import resample_scores


def resampled(right: np.ndarray, n_resamples: int = 300):
    return resample_scores(
        np.ones(right.shape[1], np.int64),
        right.astype(np.int64),
        n_resamples=n_resamples,
    )


def test_independent_scores_need_the_level_of_sidak() -> None:
    rng = np.random.default_rng(0)
    level = simultaneous_level(resampled(rng.random((20, 2000)) < 0.5, 2000))
    sidak = 0.95 ** (1 / 20)
    # A 95 % quantile of 2,000 draws of a maximum has a standard error of about .04.
    assert abs(ndtri((1 + level) / 2) - ndtri((1 + sidak) / 2)) < 0.15


def test_copies_of_one_score_need_no_more_than_one() -> None:
    row = np.random.default_rng(0).random((1, 800)) < 0.6
    level = simultaneous_level(resampled(np.repeat(row, 9, axis=0), 2000))
    # The standard error of this quantile of |t| is about .07.
    assert abs(ndtri((1 + level) / 2) - 1.96) < 0.2 and level >= 0.95


def test_scores_without_an_error_keep_the_level() -> None:
    assert simultaneous_level(resampled(np.ones((3, 40), bool))) == 0.95


def test_the_band_and_the_set_hold_the_truth() -> None:
    """Nine equal ones and one that is worse: the truth is known."""
    true = np.array([0.8] * 9 + [0.6])
    in_band, in_set, worst = [], [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        row = 0.7**0.5 * rng.standard_normal((1, 150))
        latent = row + 0.3**0.5 * rng.standard_normal((10, 150))
        right = latent < ndtri(true)[:, None]
        drawn = resampled(right)
        level = simultaneous_level(drawn)
        low, high = exact_interval(right.sum(axis=1), np.full(10, 150), level)
        in_band.append(((low <= true) & (true <= high)).all())
        kept = may_be_best(drawn)
        in_set.append(kept[0])
        worst.append(kept[-1])
    # Two standard errors of .95 in 150 trials are .036.
    assert np.mean(in_band) > 0.91 and np.mean(in_set) > 0.91
    assert np.mean(worst) < 0.1
    assert ndtr(ndtri(true[0])) == true[0]


def test_the_best_is_among_those_that_may_be_and_so_are_ties() -> None:
    right = np.zeros((3, 50), bool)
    right[0, :40] = right[1, 10:] = True
    assert may_be_best(resampled(right)).tolist() == [True, True, False]
