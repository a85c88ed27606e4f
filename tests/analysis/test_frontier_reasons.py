"""Why a run has its classifier, told by its settings and its frontier."""

import numpy as np
import pandas as pd
import pytest

from stc_core.analysis.frontier_options import (
    enough_in_words,
    near_options,
    points,
    reasons,
)
from stc_core.config import DataConfig, RunConfig, ShrinkConfig, TrainConfig
from stc_core.data.goal import ACCURATE, Goal
from stc_core.selection.frontier import Option

DATA = DataConfig(path="a.csv")
NONE = np.zeros(0, int)
OPTIONS = [
    Option(1, 1, 8, 0.1, 0.60, 0.50, 0.60, NONE),
    Option(2, 2, 64, 0.1, 0.795, 0.70, 0.795, NONE),
    Option(3, 3, 64, 0.1, 0.80, 0.65, 0.80, NONE),
    Option(3, 3, 128, 0.1, 0.78, 0.66, 0.78, NONE),
]


def told(chosen: Option = OPTIONS[3], shrink: ShrinkConfig | None = None, **train):
    config = RunConfig(data=DATA, train=TrainConfig(**train), shrink=shrink)
    return " ".join(reasons(OPTIONS, chosen, config, ACCURATE, n=100))


def test_by_itself_it_keeps_the_fewest_neurons_and_tells_of_noise():
    said = told()
    assert "looked at all layers and kept the **fewest neurons" in said
    better = (
        "**64 neurons of layers up to 3** have 2 points more accuracy on held-out "
        "texts."
    )
    assert better in said
    assert "one standard error is about 4.1 points on 100 texts" in said


def test_the_best_needs_no_excuse():
    assert "more accuracy" not in told(OPTIONS[2])
    nearly_best = OPTIONS[2]._replace(neurons=99, accuracy=0.7997)
    assert "more accuracy" not in told(nearly_best)


def test_limits_are_told():
    assert "all layers up to 3 for at most 9 neurons and" in told(
        max_layer=3, max_neurons=9
    )
    said = told(budget=128)
    assert "the best **128 neurons** together, the number that was set" in said
    assert "2 points more accuracy" in said and "noisy" not in said
    # Fewer than were asked for, as there are no more, or another limit is lower.
    assert "the best **128 neurons** together. Of all depths" in told(budget=512)


def test_before_depths_were_compared_the_deepest_neuron_set_the_depth():
    config = RunConfig(data=DATA, train=TrainConfig(budget=128))
    said = reasons(OPTIONS, OPTIONS[3], config, ACCURATE, n=100, compared=False)[0]
    assert "The deepest neuron sets how many layers are read." in said
    assert "Of all depths" not in said


def test_what_was_asked_for_by_tolerance_or_by_point():
    assert "within **1 point** of the best" in told(OPTIONS[1], tolerance=0.01)
    point = ShrinkConfig(parent="/p", layer=3, neurons=128)
    assert told(shrink=point).startswith("This classifier was picked among")
    assert "2 points more accuracy" in told(shrink=point)
    assert "the noise" not in told(shrink=point) + told(OPTIONS[1], tolerance=0.01)
    # The run that it was made from had a tolerance; this point is another one.
    assert "another run" in told(shrink=point, tolerance=0.01)


@pytest.mark.parametrize(("chosen", "found"), [(3, [1]), (1, []), (0, [])])
def test_the_cheaper_one_that_comes_near(chosen, found):
    wanted = [OPTIONS[place] for place in found]
    assert near_options(OPTIONS, OPTIONS[chosen]) == wanted


def test_the_score_is_that_of_the_goal():
    by_f1 = [option._replace(score=option.macro_f1) for option in OPTIONS]
    config = RunConfig(data=DATA)
    said = " ".join(reasons(by_f1, by_f1[3], config, Goal("macro_f1"), n=100))
    assert "**64 neurons of layers up to 2** have 4 points more macro-F1" in said
    assert "That is within the noise, so" in said
    assert "one standard error is about" not in said


def test_what_a_cheaper_one_saves_and_costs():
    frontier = pd.DataFrame([option._asdict() for option in OPTIONS])
    frontier = frontier.assign(ms_per_text=[1.0, 2.0, 3.0, 3.0])
    frontier["chosen"] = [False, False, True, False]
    assert enough_in_words(OPTIONS[1], frontier, ACCURATE) == (
        "Layer 2 is enough: 33.3 % less time, 0.5 points less accuracy"
    )
    assert (
        enough_in_words(OPTIONS[3], frontier, ACCURATE)
        == "128 neurons are enough: 2 points less accuracy"
    )
    frontier["chosen"] = [False, False, False, True]
    assert enough_in_words(OPTIONS[1], frontier, ACCURATE).endswith(
        "33.3 % less time, no points less accuracy"
    )


def test_points_are_read_as_words():
    assert [points(0.01), points(0.015), points(0.1)] == [
        "1 point",
        "1.5 points",
        "10 points",
    ]
