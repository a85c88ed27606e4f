"""The cheaper classifiers that a finished run could be replaced by."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from stc_core.data.goal import Goal
from stc_core.display import count
from stc_core.errors import StcError
from stc_core.runs.run import Run
from stc_core.selection.frontier import Option

TOLERANCE = 0.01
"""The difference of the validation score that a cheaper classifier may cost."""
NO_GUESS = np.zeros(0, int)


def option_in_words(layer: int, neurons: int) -> str:
    """A point of the frontier in words, as 'layer 3, 256 neurons'."""
    return f"layer {layer}, {count(neurons, 'neuron')}"


def options_of(run: Run) -> list[Option]:
    """The classifiers on the frontier of `run`, which could replace its own."""
    return options_in(run.frontier, run.goal)


def options_in(frontier: pd.DataFrame, goal: Goal) -> list[Option]:
    """The option in each row of `frontier`, the table of frontier.parquet.

    Tables of runs before December 2026 have no column for the score of the goal.
    """
    if "score" not in frontier:
        frontier = frontier.assign(score=frontier[goal.criterion])
    frame = frontier[list(Option._fields[:-1])]
    rows = frame.itertuples(index=False, name=None)
    return [Option._make((*row, NO_GUESS)) for row in rows]


def find_option(options: Sequence[Option], place: tuple[int, int]) -> Option:
    """The option with this depth and number of neurons; StcError if there is none."""
    for option in options:
        if (option.layer, option.neurons) == place:
            return option
    raise StcError(
        "frontier",
        expected="the depth and the number of neurons of one of its points",
        got=f"layer {place[0]} with {place[1]} neurons",
    )
