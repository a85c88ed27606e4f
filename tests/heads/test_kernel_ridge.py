"""Blocks of features give what they give together."""

import numpy as np
import pytest

from helpers.toy_features import goal_with
from stc_core.data.task import Task
from stc_core.heads.head import mean_and_sd
from stc_core.heads.kernel_ridge import Block, joint_leave_one_out, joint_ridge
from stc_core.heads.least_squares import gram, importance, solve_ridge
from stc_core.heads.leave_one_out import leave_one_out

RIDGES = (0.01, 1.0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [40, 55])  # fewer rows than features, and more
def test_blocks_joined_are_one_ridge_model(n: int, weighted: bool):
    rng = np.random.default_rng(0)
    X = rng.normal(1, 2, (60, 50)).astype(np.float32)
    X[:, 7] = 3.0  # constant
    codes = rng.choice(3, 60, p=[0.6, 0.3, 0.1])
    rows, others = np.arange(n), np.arange(n, 60)
    trust = np.repeat([1.0, 0.3], [20, 30]).astype(np.float32)
    blocks = [Block(lambda: X[:, :20], 20, 1.0), Block(lambda: X[:, 20:], 30, 0.3)]
    goal = goal_with("balanced" if weighted else None)
    task = Task(codes, ("a", "b", "c"), rows, others, goal)
    weight = task.weights(rows)
    found = joint_ridge(blocks, task, rows, others=others, ridges=RIDGES)
    mean, sd = mean_and_sd(X[rows], weight)
    # Values beyond those of the fitted rows count as the nearest of these.
    seen = np.clip(X, X[rows].min(axis=0), X[rows].max(axis=0))
    Z = ((seen - mean) / sd * trust).astype(np.float32)
    moments = gram(Z[rows], codes[rows], n_class=3, sample_weight=weight)
    prior = np.bincount(codes[rows], weight, 3) / weight.sum()
    center = np.average(Z[rows], axis=0, weights=weight)
    for ridge, scores, worth in zip(RIDGES, *found, strict=True):
        W = solve_ridge(moments, ridge)
        expected = (Z[others] - center) @ W + prior
        np.testing.assert_allclose(scores, expected, atol=2e-4)
        np.testing.assert_allclose(worth, importance(W.T), rtol=2e-2, atol=1e-7)
        assert worth[7] < 1e-12


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [40, 60])  # fewer rows than features, and more
def test_blocks_are_left_out_as_one_matrix_is(n: int, weighted: bool):
    rng = np.random.default_rng(1)
    X = rng.normal(1, 2, (60, 50)).astype(np.float32)
    codes = rng.choice(3, 60, p=[0.6, 0.3, 0.1])
    rows = np.arange(n)
    goal = goal_with("balanced" if weighted else None)
    task = Task(codes, ("a", "b", "c"), rows, rows[:0], goal)
    blocks = [Block(lambda: X[:, :20], 20), Block(lambda: X[:, 20:], 30, 0.3)]
    found = joint_leave_one_out(blocks, task, rows, ridges=RIDGES)
    weight = task.weights(rows)
    mean, sd = mean_and_sd(X[rows], weight)
    Z = (X[rows] - mean) / sd * np.repeat([1.0, 0.3], [20, 30]).astype(np.float32)
    Z = (Z - weight @ Z / weight.sum()) * np.sqrt(weight)[:, None]
    plain = leave_one_out(
        (Z @ Z.T).astype(np.float32),
        codes[rows],
        n_class=3,
        sample_weight=weight,
        ridges=RIDGES,
    )
    np.testing.assert_allclose(found, plain, atol=5e-4)
