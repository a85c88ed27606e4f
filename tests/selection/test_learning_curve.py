"""The learning curve: its scores by an oracle, its level, its forecasts."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from helpers.toy_features import Toy, make
from stc_core.data.task import Task
from stc_core.selection.folds import digests
from stc_core.selection.learning_curve import (
    LearningCurve,
    inner_products,
    measure_learning,
    ridge_guesses,
)


def curve_of(toy: Toy, **given) -> LearningCurve | None:
    keys = digests(toy.blocks[next(iter(toy.blocks))])
    how = {"held_accuracy": 0.7, **given}
    return measure_learning(toy.read, toy.task, list(toy.blocks), keys, **how)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_the_models_are_ridge_models_of_all_columns(class_weight):
    toy = make(class_weight=class_weight, shares=(0.6, 0.25, 0.15))
    rows = toy.task.learned
    products = inner_products(toy.read, list(toy.blocks), rows)
    X = np.concatenate([toy.blocks[site][rows] for site in toy.blocks], axis=1)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    np.testing.assert_allclose(products, Z @ Z.T, atol=2e-2)
    fit, held = np.arange(0, 120), np.arange(120, len(rows))
    weight = toy.task.weights(rows[fit])
    A = Z[fit] - weight @ Z[fit] / weight.sum()
    alpha = np.sum(weight[:, None] * A**2) / weight.sum()
    Y = np.eye(3)[toy.task.codes[rows[fit]]]
    oracle = Ridge(alpha=alpha).fit(Z[fit], Y, sample_weight=weight)
    expected = oracle.predict(Z[held]).argmax(axis=1)
    found = ridge_guesses(products, toy.task, rows, fit, held)
    assert np.mean(found == expected) > 0.98


def test_the_curve_rises_and_ends_at_the_score_of_the_run():
    curve = curve_of(make(3, strength=2.0))
    assert curve is not None and curve.rows == 220
    assert curve.sizes[-1] == 176 and list(curve.sizes) == sorted(set(curve.sizes))
    assert curve.scores[-1] == pytest.approx(0.7)
    assert curve.scores[0] < curve.scores[-1]
    now, some, most = curve.forecasts
    assert (now.more, some.more, most.more) == (0, 100, 200)
    assert now.gain == now.gain_low == now.gain_high == 0
    assert 0 < some.gain < most.gain
    for one in (now, some, most):
        assert one.low < one.score < one.high
        assert one.score == pytest.approx(now.score + one.gain, abs=1e-9)
    assert most.high - most.low > some.high - some.low


def test_test_rows_count_for_the_level_by_their_number():
    toy = make()
    alone, both = curve_of(toy), curve_of(toy, test=(0.9, 660))
    assert alone is not None and both is not None
    now = alone.forecasts[0].score
    assert both.forecasts[0].score == pytest.approx(0.25 * now + 0.75 * 0.9)
    assert both.forecasts[1].gain == alone.forecasts[1].gain


def test_labels_by_chance_gain_nothing_for_sure():
    curve = curve_of(make(2, strength=0.0), held_accuracy=0.5)
    assert curve is not None
    assert curve.forecasts[-1].gain_low <= 0.01


def test_wanted_numbers_of_rows_are_foretold():
    curve = curve_of(make(), wanted=[37])
    assert curve is not None
    assert [one.more for one in curve.forecasts] == [0, 37]


def test_the_test_rows_change_nothing():
    toy = make()
    blocks = {site: X.copy() for site, X in toy.blocks.items()}
    for X in blocks.values():
        X[toy.test] = 1e6
    assert curve_of(toy) == curve_of(toy._replace(blocks=blocks))


def test_a_small_table_or_one_with_many_classes_has_no_curve():
    toy = make()
    few = toy.task._replace(train=toy.task.train[:60], validation=toy.task.train[:0])
    assert curve_of(toy._replace(task=few)) is None
    many = Task(
        np.arange(280) % 70,
        tuple(map(str, range(70))),
        toy.task.train,
        toy.task.validation,
    )
    assert curve_of(toy._replace(task=many)) is None
