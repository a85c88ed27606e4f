"""Depth as a dial: which cheaper classifier is wanted, and of which run.

No more than settings: shrink.py does the work, in a process of its own.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from stc_core.config import RunConfig, ShrinkConfig, TrainConfig
from stc_core.display import count
from stc_core.errors import StcError
from stc_core.metrics.scores import metric_name_of
from stc_core.runs.run import Run
from stc_core.selection.frontier import Option, cheapest
from stc_core.selection.salience import SALIENCE

TOLERANCE = 0.01
"""Of the validation score, where nothing else is asked for."""
NO_GUESS = np.zeros(0, int)


def smaller(
    parent: Run,
    *,
    max_layer: int | None = None,
    max_neurons: int | None = None,
    tolerance: float | None = None,
    option: tuple[int, int] | None = None,
    extract: bool = False,
    name: str = "",
) -> RunConfig:
    """The settings of a cheaper run that is made from `parent`.

    With limits it is what training with the same limits would have given; with a
    tolerance the cheapest within it (TOLERANCE if nothing is given). An `option` is one
    of the frontier: its depth and its number of neurons. Raises StcError for a run that
    cannot be made smaller.
    """
    check_limits(parent)
    given = {"max_neurons": max_neurons, "tolerance": tolerance}
    if max_layer is not None:
        given["max_layer"] = min([max_layer, *_known(parent.config.train.max_layer)])
    given = {key: value for key, value in given.items() if value is not None}
    if not given and option is None:
        given = {"tolerance": TOLERANCE}
    train = _limited(parent.config.train, given)
    if option is None and set(given) == {"tolerance"}:
        options, by = options_of(parent), metric_name_of(train.class_weight)
        found = cheapest(options, tolerance=given["tolerance"], by=by)
        assert found is not None
        option = found.layer, found.neurons
    if option is not None:
        find_option(options_of(parent), option)
    layer, neurons = option or (None, None)
    known = "smaller" if option is None else kept(*option)
    return parent.config.changed(
        name=name or f"{parent.name} · {known}",
        created="",
        train=train,
        shrink=ShrinkConfig(
            parent=str(parent.folder.absolute()),
            named_from="" if name or option else parent.name,
            layer=layer,
            neurons=neurons,
            extract=extract,
        ),
    )


def _limited(train: TrainConfig, given: dict[str, Any]) -> TrainConfig:
    """`train` with the limits that are given; its budget is no more than its most."""
    most = given.get("max_neurons", train.max_neurons)
    if train.budget is not None and most is not None:
        given = {**given, "budget": min(train.budget, most)}
    return train.changed(**given)


def _known(value: int | None) -> list[int]:
    return [] if value is None else [value]


def kept(layer: int, neurons: int) -> str:
    """'layer 3, 256 neurons'."""
    return f"layer {layer}, {count(neurons, 'neuron')}"


def check_limits(parent: Run) -> None:
    """Raise StcError unless a cheaper run can be made from `parent`."""
    state, train = parent.status["state"], parent.config.train
    where = f"run {parent.name!r}"
    if state != "done":
        raise StcError(where, expected="a finished run", got=f"a {state} one")
    if (train.recipe, train.preset) != ("stc", "stc"):
        raise StcError(
            where,
            expected="a run of the recipe stc with the preset stc",
            got=f"recipe {train.recipe}, preset {train.preset}",
            remedy="Train with --max-layer instead.",
        )
    if not (parent.has(SALIENCE) and parent.has("frontier.parquet")):
        raise StcError(
            where,
            expected=f"a run with {SALIENCE} and frontier.parquet",
            got="one of an earlier version",
            remedy="Train it again.",
        )


def options_of(run: Run) -> list[Option]:
    """What may be had instead of the classifier of `run`, from its frontier."""
    return options_in(run.frontier)


def options_in(frontier: pd.DataFrame) -> list[Option]:
    """The same, row by row, of frontier.parquet."""
    frame = frontier[list(Option._fields[:-1])]
    rows = frame.itertuples(index=False, name=None)
    return [Option._make((*row, NO_GUESS)) for row in rows]


def find_option(options: Sequence[Option], place: tuple[int, int]) -> Option:
    """The option of this depth and this number of neurons."""
    for option in options:
        if (option.layer, option.neurons) == place:
            return option
    raise StcError(
        "frontier",
        expected="the depth and the number of neurons of one of its points",
        got=f"layer {place[0]} with {place[1]} neurons",
    )
