"""The frontier: every option can be had as it is told, and the cheapest is the one."""

import numpy as np
import pytest

from helpers.toy_features import Toy, make
from stc_core.metrics.scores import accuracy
from stc_core.selection.frontier import Option, cheapest, curves_of, size_grid
from stc_core.selection.stc import Fitted, fit_stc, take_option
from stc_core.selection.streaming import _gather

NONE = np.zeros(0, int)


@pytest.fixture(scope="module")
def toy() -> Toy:
    return make(3, strength=1.5)


@pytest.fixture(scope="module")
def fitted(toy: Toy) -> Fitted:
    return fit_stc(toy.read, toy.task, toy.probes(), reported=toy.test)


def option(layer: int, neurons: int, score: float) -> Option:
    return Option(layer, layer, neurons, 1.0, score, score, score, NONE)


CURVE = [
    option(0, 8, 0.5),
    option(0, 32, 0.6),
    option(1, 8, 0.62),
    option(1, 32, 0.795),
    option(2, 8, 0.791),
    option(2, 32, 0.80),
]


def place(found: Option | None) -> tuple[int, int] | None:
    return found and (found.layer, found.neurons)


@pytest.mark.parametrize(
    ("tolerance", "expected"),
    [(0.0, (2, 32)), (0.004, (2, 32)), (0.005, (1, 32)), (0.2, (0, 32)), (1.0, (0, 8))],
)
def test_it_is_the_shallowest_within_the_tolerance(tolerance, expected):
    assert place(cheapest(CURVE, tolerance=tolerance)) == expected
    assert place(cheapest(CURVE[::-1], tolerance=tolerance)) == expected


def test_of_one_depth_it_has_the_fewest_neurons():
    assert place(cheapest(CURVE[4:], tolerance=0.01)) == (2, 8)


def test_best_and_chosen_keep_to_the_limits():
    assert place(cheapest(CURVE, tolerance=0.01, max_neurons=8)) == (2, 8)
    assert place(cheapest(CURVE, tolerance=0.01, max_layer=1)) == (1, 32)
    assert place(cheapest(CURVE, tolerance=0.01, max_layer=0)) == (0, 32)
    assert cheapest(CURVE, tolerance=0.01, max_neurons=7) is None


def test_a_tolerance_of_nothing_is_not_lost_to_rounding():
    third = [option(0, 8, 1 / 3), option(1, 8, 1 / 3 + 1e-12)]
    assert place(cheapest(third, tolerance=0.0)) == (0, 8)


@pytest.mark.parametrize(
    ("most", "sizes"), [(5, [5]), (8, [8]), (40, [8, 16, 32, 40]), (16, [8, 16])]
)
def test_the_grid_ends_at_the_largest(most, sizes):
    assert size_grid(most) == sizes


def test_every_depth_has_options_up_to_the_run_s_own(toy, fitted):
    assert sorted({o.layer for o in fitted.options}) == [0, 1, 2]
    assert fitted.option is fitted.options[-1]
    assert fitted.option.neurons == len(fitted.head.features)
    places = [(o.layer, o.neurons) for o in fitted.options]
    assert places == sorted(set(places))
    assert all(o.deepest <= o.layer for o in fitted.options)


def test_an_option_is_what_taking_it_gives(toy, fitted):
    """Its neurons, its score on validation, and its classes of the reported rows."""
    for wanted in fitted.options[::3]:
        found = take_option(
            toy.read,
            toy.task,
            toy.probes(),
            fitted.options,
            option=wanted,
            eta=None,
        )
        assert len(found.head.features) == wanted.neurons
        assert found.head.layer == wanted.deepest <= wanted.layer
        X = _gather(rows_of(toy), found.head.features, toy.test)
        guess = found.head.logits(X).argmax(axis=1)
        np.testing.assert_array_equal(guess, wanted.guess)
        y = toy.task.codes[found.held]
        right = accuracy(y, found.held_logits.argmax(axis=1))
        assert right == pytest.approx(wanted.accuracy, abs=1.5 / len(y))  # a near tie
        assert found.points == curves_of(fitted.options, wanted)


def rows_of(toy: Toy):
    return lambda site, rows: toy.blocks[site][rows]


def test_a_tolerance_takes_the_cheapest_option(toy, fitted):
    wide = fit_stc(toy.read, toy.task, toy.probes(), tolerance=1.0)
    assert place(wide.option) == place(fitted.options[0])
    assert wide.head.layer == fitted.options[0].deepest
    none = fit_stc(toy.read, toy.task, toy.probes(), tolerance=0.0)
    wanted = cheapest(fitted.options, tolerance=0.0)
    assert place(none.option) == place(wanted)


def test_most_neurons_are_not_passed_and_a_budget_is_one_size(toy):
    few = fit_stc(toy.read, toy.task, toy.probes(), max_neurons=4)
    assert len(few.head.features) <= 4
    assert all(o.neurons <= 4 for o in few.options)
    five = fit_stc(toy.read, toy.task, toy.probes(), budget=5)
    assert {o.neurons for o in five.options if o.layer == 2} == {5}
    both = fit_stc(toy.read, toy.task, toy.probes(), budget=5, max_neurons=3)
    assert len(both.head.features) == 3


def test_of_a_limit_that_is_loose_fewer_are_kept(toy, fitted):
    """At most so many is a limit, and exactly so many is not."""
    probes, kept = toy.probes(), len(fitted.head.features)
    loose = fit_stc(toy.read, toy.task, probes, max_neurons=kept + 20)
    assert len(loose.head.features) < kept + 20
    exact = fit_stc(toy.read, toy.task, probes, budget=kept + 2)
    assert len(exact.head.features) == kept + 2
    for most in (1, 2, 3, kept):
        found = fit_stc(toy.read, toy.task, probes, max_neurons=most)
        assert 1 <= len(found.head.features) <= most


def test_reported_rows_choose_nothing(toy, fitted):
    without = fit_stc(toy.read, toy.task, toy.probes())
    assert without.points == fitted.points
    assert [o[:-1] for o in without.options] == [o[:-1] for o in fitted.options]
    assert all(len(o.guess) == 0 for o in without.options)


def test_a_depth_is_the_layer_that_is_read_last():
    """Of what is allowed to layer 3 and reads to 2, depth 2 is the cost."""
    options = [
        option(1, 8, 0.6),
        option(2, 8, 0.7),
        option(3, 8, 0.7)._replace(deepest=2, accuracy=0.75),
        option(3, 16, 0.8),
        option(3, 2, 0.3)._replace(deepest=1),
    ]
    points = [p for p in curves_of(options, options[2]) if p.curve == "depth"]
    assert [(p.layer, p.accuracy) for p in points] == [(1, 0.6), (2, 0.75)]
    points = [p for p in curves_of(options, options[1]) if p.curve == "depth"]
    assert [(p.layer, p.accuracy) for p in points] == [(1, 0.6), (2, 0.7)]
