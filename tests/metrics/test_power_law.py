"""A power law is found again, within its bounds, and continued."""

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from stc_core.metrics.power_law import DECAYS, fit_power_laws

N = np.array([50.0, 100, 200, 400, 800])


@pytest.mark.parametrize(("top", "drop", "decay"), [(0.9, 2, 0.5), (0.8, 0.9, 0.2)])
def test_a_law_is_found_again(top, drop, decay):
    scores = top - drop * N**-decay
    found = fit_power_laws(N, scores[None], np.full(5, 0.01))
    assert found.decay.tolist() == [decay]
    np.testing.assert_allclose(found.top, [top], atol=1e-9)
    np.testing.assert_allclose(found.at(5000), top - drop * 5000**-decay, atol=1e-9)


def test_several_curves_at_once_are_the_bounded_fits_of_scipy():
    rng = np.random.default_rng(0)
    scores = 0.98 - 1.5 * N**-0.6 + 0.05 * rng.standard_normal((30, 5))
    errors = rng.uniform(0.01, 0.05, 5)
    found = fit_power_laws(N, scores, errors)
    assert found.top.max() == 1 and found.drop.min() >= 0  # bounds are reached
    for at, row in enumerate(scores):
        losses = []
        for decay in DECAYS:
            A = np.stack([np.ones(5), -(N**-decay)], axis=1) / errors[:, None]
            bounds = ([-np.inf, 0], [1, np.inf])
            losses.append(lsq_linear(A, row / errors, bounds).cost)
        fitted = found.top[at] - found.drop[at] * N ** -found.decay[at]
        cost = 0.5 * np.sum(((row - fitted) / errors) ** 2)
        assert cost == pytest.approx(min(losses), rel=1e-6, abs=1e-9)


def test_scores_that_fall_give_a_level():
    found = fit_power_laws(N, np.linspace(0.9, 0.7, 5)[None], np.full(5, 0.01))
    assert found.drop.tolist() == [0] and found.top == pytest.approx([0.8])


def test_precise_points_weigh_more():
    scores = np.array([[0.5, 0.6, 0.7, 0.7, 0.7]])
    precise = np.array([1, 1, 0.001, 0.001, 0.001])
    assert fit_power_laws(N, scores, precise).at(1600) == pytest.approx([0.7], abs=1e-3)
