"""Comprehensiveness and sufficiency against values that are computed by hand."""

import numpy as np
import pytest

from stc_core.metrics.faithfulness import (
    aopc,
    bootstrap_mean,
    part_counts,
    strongest_parts,
)


def test_shares_are_rounded_up_and_leave_something():
    assert part_counts(2) == [1, 1, 1, 1, 1]
    assert part_counts(20) == [1, 1, 2, 4, 10]
    assert part_counts(100) == [1, 5, 10, 20, 50]
    assert part_counts(3, [1.0]) == [2]


def test_the_strongest_parts_speak_for_the_class():
    found = strongest_parts(np.array([0.5, -9.0, 2.0, 0.5]), [1, 2, 3])
    assert [part.tolist() for part in found] == [[2], [0, 2], [0, 2, 3]]


def test_the_area_is_the_mean_loss():
    whole = np.array([0.9, 0.5])
    after = np.array([[0.8, 0.6], [0.5, 0.7]])
    assert aopc(whole, after) == pytest.approx([0.2, -0.1])


def test_the_interval_is_that_of_a_mean():
    values = np.random.default_rng(0).normal(0.3, 0.1, 200)
    found = bootstrap_mean(values)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert found.mean == pytest.approx(values.mean())
    assert found.high - found.mean == pytest.approx(half, rel=0.15)
    assert found.mean - found.low == pytest.approx(half, rel=0.15)
    assert bootstrap_mean(values) == found
    assert bootstrap_mean(np.array([0.2])) == (0.2, 0.2, 0.2)
    assert bootstrap_mean(np.zeros(5)) == (0, 0, 0)
