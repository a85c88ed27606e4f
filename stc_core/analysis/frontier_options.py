"""The classifiers on a run's frontier: why it has its own, and which is cheaper."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from stc_core.config import RunConfig, TrainConfig
from stc_core.data.goal import Goal
from stc_core.display import count, percent
from stc_core.errors import StcError
from stc_core.runs.run import Run
from stc_core.selection.frontier import Option, cheapest

TOLERANCE = 0.01
"""The difference of the validation score that a cheaper classifier may cost."""
NO_GUESS = np.zeros(0, int)
_FEWEST = (
    "Training looked at all layers{limits} and kept the **fewest neurons that score "
    "as well as any larger number** on held-out texts. Scores were smoothed, so that "
    "no single lucky one decides. {depth}"
)
_BEST_DEPTH = (
    "Of all depths it took the **best on these texts**, and of equal ones the "
    "shallowest."
)
_DEEPEST = "The deepest neuron sets how many layers are read."
NOISE = " That is within the noise{error}, so it did not decide."


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


def reasons(
    options: Sequence[Option],
    chosen: Option,
    config: RunConfig,
    goal: Goal,
    *,
    n: int,
    compared: bool = True,
) -> list[str]:
    """Sentences on why `chosen` was chosen and why no better score was, as Markdown.

    `chosen` is one of `options`, and `n` is the number of held-out texts. Scores are
    between 0 and 1. `compared`: training compared the depths; before December 2026 it
    did not (`compares_depths`).
    """
    depth = _BEST_DEPTH if compared else _DEEPEST
    by_training, rule = _rule(options, chosen, config, depth)
    return [rule, *_better(options, chosen, goal, n if by_training else None)]


def near_options(options: Sequence[Option], chosen: Option) -> list[Option]:
    """The shallowest option within TOLERANCE of the best, in a list.

    The list is empty if that option is not cheaper than `chosen`.
    """
    near = cheapest(options, tolerance=TOLERANCE)
    assert near is not None, options
    is_cheaper = (near.deepest, near.neurons) < (chosen.deepest, chosen.neurons)
    return [near] if is_cheaper else []


def compares_depths(frontier: pd.DataFrame) -> bool:
    """Whether the training that wrote this frontier.parquet compared the depths."""
    return "score" in frontier


def enough_in_words(option: Option, frontier: pd.DataFrame, goal: Goal) -> str:
    """That a cheaper option is enough, what it saves and what it costs, in words.

    `frontier` is the table of frontier.parquet: it has the measured times, and the
    option that the run took. The cost is in the score of the goal.
    """
    taken = frontier.loc[frontier["chosen"].astype(bool)].iloc[0]
    place = frontier["layer"].eq(option.layer) & frontier["neurons"].eq(option.neurons)
    row = frontier.loc[place].iloc[0]
    by = "score" if "score" in frontier else goal.criterion
    lost = float(taken[by]) - float(row[by])
    less = points(lost) if round(100 * lost, 1) > 0 else "no points"
    cost = f"{less} less {goal.score.words}"
    if row["deepest"] == taken["deepest"]:
        return f"{count(option.neurons, 'neuron')} are enough: {cost}"
    saved = 1 - float(row["ms_per_text"]) / float(taken["ms_per_text"])
    return f"Layer {row['deepest']} is enough: {percent(saved)} less time, {cost}"


def _rule(
    options: Sequence[Option], chosen: Option, config: RunConfig, depth: str
) -> tuple[bool, str]:
    """True if training chose the number of neurons itself, and how it was chosen."""
    train = config.train
    if train.tolerance is not None and chosen is cheapest(
        options, tolerance=train.tolerance
    ):
        return False, (
            "This run was set to take the shallowest classifier within "
            f"**{points(train.tolerance)}** of the best on held-out texts."
        )
    if config.shrink is not None and config.shrink.layer is not None:
        return (
            False,
            "This classifier was picked among the cheaper ones of another run.",
        )
    if train.budget is not None:
        as_set = ", the number that was set" if chosen.neurons == train.budget else ""
        kept = f"the best **{count(chosen.neurons, 'neuron')}** together{as_set}"
        return False, f"Training kept {kept}. {depth}"
    return True, _FEWEST.format(limits=_limits(train), depth=depth)


def _limits(train: TrainConfig) -> str:
    """The limits of the training in words, as ' up to 3 for at most 256 neurons'."""
    limits = "" if train.max_layer is None else f" up to {train.max_layer}"
    if train.max_neurons is not None:
        limits += f" for at most {count(train.max_neurons, 'neuron')}"
    return limits


def _better(
    options: Sequence[Option], chosen: Option, goal: Goal, n: int | None
) -> list[str]:
    """A sentence on the option with the best score; empty if `chosen` is as good.

    With `n` it also says why that option was not taken.
    """
    best = max(options, key=lambda option: option.score)
    score, gain = chosen.score, best.score - chosen.score
    if round(100 * gain, 1) == 0:
        return []
    neurons = f"**{count(best.neurons, 'neuron')} of layers up to {best.layer}**"
    sentence = (
        f"{neurons} have {points(gain)} more {goal.score.words} on held-out texts."
    )
    if n is None:
        return [sentence]
    error = f" (one standard error is about {points((score * (1 - score) / n) ** 0.5)}"
    of_texts = f"{error} on {n:,} texts)" if goal.criterion == "accuracy" else ""
    return [sentence + NOISE.format(error=of_texts)]


def points(share: float) -> str:
    """A difference of shares in words, as '1.5 points'."""
    number = f"{100 * share:.1f}"
    return "1 point" if number == "1.0" else f"{number.removesuffix('.0')} points"
