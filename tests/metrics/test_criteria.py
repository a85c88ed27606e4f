"""The scores that choose, each against scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, balanced_accuracy_score

from stc_core.metrics.criteria import CRITERIA, balanced_accuracy
from stc_core.metrics.scores import accuracy, macro_f1


def some(n_class: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Classes, the first one the most frequent, and scores that know a little."""
    rng = np.random.default_rng(seed)
    share = np.arange(n_class, 0, -1.0)
    y = rng.choice(n_class, 200, p=share / share.sum())
    scores = rng.standard_normal((200, n_class)) + np.eye(n_class)[y]
    return y, scores.astype(np.float32)


@pytest.mark.parametrize("n_class", [2, 5])
def test_scores_of_answers_are_those_of_the_highest_score(n_class: int):
    y, scores = some(n_class)
    answers = scores.argmax(axis=1)
    assert CRITERIA["accuracy"].of(y, scores) == accuracy(y, answers)
    assert CRITERIA["macro_f1"].of(y, scores) == macro_f1(y, answers)
    expected = balanced_accuracy_score(y, answers)
    assert CRITERIA["balanced_accuracy"].of(y, scores) == pytest.approx(expected)


def test_a_class_that_is_only_guessed_has_no_recall():
    y, guess = np.array([0, 0, 1]), np.array([0, 2, 1])
    assert balanced_accuracy(y, guess) == pytest.approx(0.75)


def test_average_precision_of_two_classes_is_that_of_the_rarer_one():
    y, scores = some(2)
    assert (y == 1).sum() < (y == 0).sum()
    expected = average_precision_score(y, scores[:, 1] - scores[:, 0])
    assert CRITERIA["average_precision"].of(y, scores) == pytest.approx(expected)
    swapped = CRITERIA["average_precision"].of(1 - y, scores[:, ::-1])
    assert swapped == pytest.approx(expected)


def test_average_precision_of_many_classes_is_the_mean_over_those_that_occur():
    y, scores = some(4)
    y[y == 3] = 0
    expected = []
    for k in range(3):
        others = np.delete(scores, k, axis=1).max(axis=1)
        expected.append(average_precision_score(y == k, scores[:, k] - others))
    found = CRITERIA["average_precision"].of(y, scores)
    assert found == pytest.approx(np.mean(expected))


def test_average_precision_sees_an_order_that_no_answer_shows():
    """A rare class that never scores highest may still be ordered perfectly."""
    y = np.array([0] * 18 + [1] * 2)
    scores = np.stack([np.full(20, 1.0), np.linspace(0, 0.5, 20)], axis=1)
    assert CRITERIA["average_precision"].of(y, scores.astype(np.float32)) == 1
    assert CRITERIA["macro_f1"].of(y, scores.astype(np.float32)) < 0.5


def test_one_class_leaves_no_order_to_judge():
    assert CRITERIA["average_precision"].of(np.zeros(3, int), np.eye(3)) == 1


def test_equal_scores_count_together():
    y, scores = some(3)
    scores = scores.round()  # many ties
    expected = []
    for k in range(3):
        lead = scores[:, k] - np.delete(scores, k, axis=1).max(axis=1)
        expected.append(average_precision_score(y == k, lead))
    found = CRITERIA["average_precision"].of(y, scores)
    assert found == pytest.approx(np.mean(expected))


def test_a_class_that_a_model_has_not_seen_stands_last():
    y, scores = some(3)
    scores[:, 2] = -np.inf
    found = CRITERIA["average_precision"].of(y, scores)
    lower = scores.copy()
    lower[:, 2] = scores[:, :2].min() - 100
    assert 0 < found <= CRITERIA["average_precision"].of(y, lower) + 1e-9
    scores[:] = np.nan
    assert 0 <= CRITERIA["average_precision"].of(y, scores) < 1
