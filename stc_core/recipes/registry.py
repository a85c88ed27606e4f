"""The code of the recipes: from settings to a finished run folder.

Every way to start a training (command line, app, Python) calls `train`, so each leaves
the same run folder. Test rows choose nothing: results.py scores them at the end. What
is known of a recipe without its code is in `recipe_table`.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from stc_core.activations.integrity import DamagedFeatures
from stc_core.config import RunConfig, TrainConfig
from stc_core.errors import StcError
from stc_core.recipe_table import RECIPES
from stc_core.recipes.ending import remove_spent
from stc_core.recipes.shrink import shrink
from stc_core.runs.environment import record_environment
from stc_core.runs.run import Run
from stc_core.runs.stages import RunStage
from stc_core.runs.writer import RunWriter

_TRIES = 3
"""How often a step is begun while features on disk turn out to be damaged."""
Step = Callable[[RunConfig, RunWriter], None]
"""A part of a training that writes files of its run."""


def _accept(settings: TrainConfig, backbone: Any) -> None:
    """Refuse nothing."""


class RecipeCode(NamedTuple):
    """What a recipe does: the `CODE` of its module.

    `steps` are done in this order. `check(settings, backbone)` raises StcError if the
    recipe cannot train this backbone with these settings. `tuning_seconds` takes what
    `planning.tuning_time.tuning_seconds` takes, with the TrainConfig in the place of
    the TuneConfig, and foretells how long the tuning lasts;
    None, or an answer of None, means that it is not known.
    """

    steps: tuple[Step, ...]
    check: Callable[[TrainConfig, Any], None] = _accept
    tuning_seconds: Callable[..., float | None] | None = None


def recipe_code(name: str) -> RecipeCode:
    """The code of the recipe `name`; its module is imported now."""
    return import_module(RECIPES[name].module).CODE


def train(config: RunConfig, writer: RunWriter) -> Run:
    """Do the run of `config`, written by `writer` step by step; give the finished
    run.

    What an interrupted run has done is not done again: see `runs.stages`.
    """
    name = config.train.recipe
    if config.data.reply and not RECIPES[name].levels:
        able = [known for known, recipe in RECIPES.items() if recipe.levels]
        raise StcError(
            "option --reply",
            expected=f"a recipe that writes replies: {', '.join(able)}",
            got=name,
            remedy=f"Add --recipe {able[0]}, or leave --reply out.",
        )
    steps = (shrink,) if config.shrink else recipe_code(name).steps
    for change in record_environment(writer.folder, config):
        writer.note(change)
    for step in steps:
        if RunStage.RESULT not in writer.stages:
            _take(step, config, writer)
    if RunStage.RESULT in writer.stages:
        remove_spent(writer)
    return writer.finish()


def _take(step: Step, config: RunConfig, writer: RunWriter) -> None:
    """Do a step; again, if features that it reads were damaged on disk meanwhile."""
    for _ in range(_TRIES - 1):
        try:
            step(config, writer)
        except DamagedFeatures as error:
            writer.note(f"{error.where} are read again: {error.reason}.")
        else:
            return
    step(config, writer)
