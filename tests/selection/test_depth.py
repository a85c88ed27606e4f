"""How deep a classifier must read, by answers to the same rows."""

import numpy as np
import pytest

from stc_core.metrics.criteria import CRITERIA
from stc_core.metrics.scores import accuracy
from stc_core.selection.depth import shallowest_as_good
from stc_core.selection.frontier import Option

ACCURACY = CRITERIA["accuracy"]
Y = np.zeros(200, int)


def at(layer: int, wrong: list[int]) -> Option:
    """An option that is wrong on these rows and right on all others."""
    held = Y.copy()
    held[wrong] = 1
    score = accuracy(Y, held)
    return Option(layer, layer, 8, 1.0, score, score, score, held=held)


DEEP = at(3, [])


def test_a_few_texts_less_are_as_good():
    near = at(1, [0])  # one text less: behind by one standard error of the pairs
    found = shallowest_as_good([at(0, list(range(9))), near, DEEP], Y, ACCURACY)
    assert found is near


def test_the_error_is_that_of_the_pairs():
    """Both have five texts wrong: the same ones tell nothing, others tell noise."""
    same, other = list(range(5)), list(range(5, 10))
    deep = at(3, same)
    worse = at(1, [*same, 20, 21, 22, 23, 24, 25])
    assert shallowest_as_good([worse, deep], Y, ACCURACY) is deep
    noisy = at(1, [*other, 20])
    assert shallowest_as_good([noisy, deep], Y, ACCURACY) is noisy


def test_the_best_is_taken_where_all_others_are_worse():
    assert shallowest_as_good([at(1, list(range(50))), DEEP], Y, ACCURACY) is DEEP


@pytest.mark.parametrize("name", ["macro_f1", "balanced_accuracy"])
def test_any_score_of_answers_has_an_error(name):
    y = np.arange(200) % 2
    held = y.copy()
    held[0] = 1
    score = CRITERIA[name].of_answers
    assert score is not None
    near = Option(1, 1, 8, 1.0, 0.0, 0.0, score(y, held), held=held)
    deep = Option(2, 2, 8, 1.0, 0.0, 0.0, 1.0, held=y)
    assert shallowest_as_good([near, deep], y, CRITERIA[name]) is near


def test_a_score_of_the_order_takes_the_best():
    near = at(1, [0])
    found = shallowest_as_good([near, DEEP], Y, CRITERIA["average_precision"])
    assert found is DEEP
