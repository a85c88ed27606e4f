"""Which rows judge a choice."""

import numpy as np

from stc_core.data.task import Task
from stc_core.selection.folds import digests, judging_folds


def test_where_no_class_is_in_two_folds_the_split_judges():
    """Two rows of two classes: no model knows the class of a row that it has not."""
    task = Task(np.array([0, 1]), ("a", "b"), np.array([0]), np.array([1]))
    (fold,) = judging_folds(task, np.arange(2))
    assert fold.fit.tolist() == [0] and fold.held.tolist() == [1]


def test_test_rows_are_in_no_fold():
    codes = np.arange(90) % 3
    task = Task(codes, ("a", "b", "c"), np.arange(50), np.arange(50, 70))
    for fold in judging_folds(task, np.arange(90)):
        assert fold.fit.max() < 70 and fold.held.max() < 70
        assert not set(fold.fit) & set(fold.held)
        assert len(fold.fit) + len(fold.held) == 70


def test_equal_rows_have_equal_keys():
    X = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    keys = digests(X[[0, 1, 0, 2, 3]])
    assert keys[0] == keys[2] and len(set(keys)) == 4
