"""Scores of classifiers in bootstraps, against plain resampling."""

import numpy as np
import pytest

from stc_core.metrics.resampling import _draws, resample_scores
from stc_core.metrics.scores import accuracy, macro_f1


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_scores_are_those_of_the_drawn_rows_and_of_the_rest(metric) -> None:
    rng, score = np.random.default_rng(0), {"accuracy": accuracy, "macro_f1": macro_f1}
    y, predicted = rng.integers(3, size=30), rng.integers(4, size=(5, 30))
    found = resample_scores(y, predicted, metric, n_resamples=6, seed=1)
    counts = _draws(30, 6, seed=1)
    for at, guess in enumerate(predicted):
        assert found.scores[at] == pytest.approx(score[metric](y, guess))
        for number, count in enumerate(counts):
            rows, rest = np.repeat(np.arange(30), count), np.flatnonzero(count == 0)
            inside = score[metric](y[rows], guess[rows])
            outside = score[metric](y[rest], guess[rest])
            assert found.inside[number, at] == pytest.approx(inside)
            assert found.outside[number, at] == pytest.approx(outside)


def test_a_resample_has_as_many_rows_and_leaves_some_out() -> None:
    for n in (2, 3, 50):
        counts = _draws(n, 40, seed=0)
        assert (counts.sum(axis=1) == n).all() and (counts == 0).any(axis=1).all()


def test_some_of_the_classifiers_keep_their_resamples() -> None:
    rng = np.random.default_rng(0)
    y, predicted = rng.integers(2, size=20), rng.integers(2, size=(4, 20))
    kept = np.array([True, False, False, True])
    some = resample_scores(y, predicted).only(kept)
    alone = resample_scores(y, predicted[kept])
    np.testing.assert_allclose(some.inside, alone.inside)
    np.testing.assert_allclose(some.outside, alone.outside)
    np.testing.assert_allclose(some.scores, alone.scores)


def test_one_row_can_be_scored() -> None:
    found = resample_scores(np.array([1]), np.array([[1], [0]]))
    np.testing.assert_allclose(found.scores, [1.0, 0.0])
    assert np.isfinite(found.outside).all()
