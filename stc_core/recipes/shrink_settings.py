"""The settings of a run that makes a cheaper classifier from another run.

shrink.py does the work, in a separate process.
"""

from typing import Any

from stc_core.analysis.frontier_options import (
    TOLERANCE,
    find_option,
    option_in_words,
    options_of,
)
from stc_core.config import RunConfig, ShrinkConfig, TrainConfig
from stc_core.errors import StcError
from stc_core.recipe_table import RECIPES
from stc_core.runs.layout import RunFile
from stc_core.runs.run import WITH_TEXTS, Run
from stc_core.selection.frontier import cheapest
from stc_core.selection.salience import SALIENCE


def shrink_config(
    parent: Run,
    *,
    max_layer: int | None = None,
    max_neurons: int | None = None,
    tolerance: float | None = None,
    stable: float | None = None,
    use_weight: float | None = None,
    option: tuple[int, int] | None = None,
    extract: bool = False,
    name: str = "",
) -> RunConfig:
    """The settings of a cheaper run that is made from `parent`.

    With limits, the result is the same as a training with these limits. With a
    tolerance, it is the cheapest classifier within it; without any argument the
    tolerance is TOLERANCE. With `stable` only neurons are kept that this share of
    halves of the rows choose; `use_weight` ranks them again. An `option` is a point of
    the frontier: its depth and its number of neurons. Raises StcError for a
    run that cannot be made smaller.
    """
    check_limits(parent)
    layer = _lowered(max_layer, parent.config.train.max_layer)
    asked = {
        "max_layer": layer,
        "max_neurons": max_neurons,
        "tolerance": tolerance,
        "stable": stable,
        "use_weight": use_weight,
    }
    limits: dict[str, Any] = {k: v for k, v in asked.items() if v is not None}
    if not limits and option is None:
        limits = {"tolerance": TOLERANCE}
    train = _limited(parent.config.train, limits)
    if option is None and set(limits) == {"tolerance"}:
        option = _cheapest_option(parent, limits["tolerance"])
    if option is not None:
        train = train.changed(stable=None)  # an option has all neurons that rank first
        _check_ranking(parent)
        find_option(options_of(parent), option)
    layer, neurons = option or (None, None)
    shrunk = ShrinkConfig(
        parent=str(parent.folder.absolute()),
        named_from="" if name or option else parent.base_name,
        layer=layer,
        neurons=neurons,
        extract=extract,
    )
    suffix = "smaller" if option is None else option_in_words(*option)
    name = name or f"{parent.base_name} · {suffix}"
    changes = {"name": name, "train": train, "shrink": shrunk}
    return parent.config.changed(created="", example=False, **changes)


def _cheapest_option(parent: Run, tolerance: float) -> tuple[int, int]:
    """The layer and the neurons of the cheapest option within `tolerance`."""
    option = cheapest(options_of(parent), tolerance=tolerance)
    assert option is not None
    return option.layer, option.neurons


def _check_ranking(parent: Run) -> None:
    """Raise StcError if the frontier tells of neurons that would not be kept now."""
    if "folds" not in parent.metrics["chosen"]:
        raise StcError(
            f"run {parent.name!r}",
            expected="a frontier of this version, which ranks all neurons together",
            got="one of an earlier version, whose scores are of other neurons",
            remedy="Train again, or give --max-layer or --max-neurons.",
        )


def _limited(train: TrainConfig, limits: dict[str, Any]) -> TrainConfig:
    """`train` with these limits; its budget is lowered to `max_neurons` if needed."""
    most = limits.get("max_neurons", train.max_neurons)
    if train.budget is not None and most is not None:
        limits = {**limits, "budget": min(train.budget, most)}
    return train.changed(**limits)


def _lowered(limit: int | None, known: int | None) -> int | None:
    """`limit`, but not above the limit that is `known` already."""
    return limit if limit is None or known is None else min(limit, known)


def check_limits(parent: Run) -> None:
    """Raise StcError unless a cheaper run can be made from `parent`."""
    state, train = parent.status["state"], parent.config.train
    where = f"run {parent.name!r}"
    if state != "done":
        raise StcError(where, expected="a finished run", got=f"a {state} run")
    if RECIPES[train.recipe].tunes or train.preset != "stc":
        raise StcError(
            where,
            expected="a run of the recipe stc with the preset stc",
            got=f"recipe {train.recipe}, preset {train.preset}",
            remedy="Train with --max-layer instead.",
        )
    if not (parent.has(SALIENCE) and parent.has(RunFile.FRONTIER)):
        raise StcError(
            where,
            expected=f"a run with {SALIENCE} and frontier.parquet",
            got="a run of an earlier version"
            if parent.has(RunFile.CORPUS)
            else "one that came without its texts",
            remedy="Train again." if parent.has(RunFile.CORPUS) else WITH_TEXTS,
        )
