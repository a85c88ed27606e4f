"""The recipes: from settings to a finished run folder.

Every way to start a training (command line, app, Python) calls `train`, so each leaves
the same run folder. Test rows choose nothing: results.py scores them at the end.
"""

from collections.abc import Callable

from stc_core.config import RunConfig
from stc_core.errors import StcError
from stc_core.recipes.attention import recipe as attention
from stc_core.recipes.hierarchy import recipe as hierarchy
from stc_core.recipes.shrink import shrink
from stc_core.recipes.sparse import stop_if_interrupted, train_sparse
from stc_core.recipes.variability import tune_variability
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter


def train(config: RunConfig, writer: RunWriter) -> Run:
    """Do the run of `config`, written by `writer` step by step; give the finished
    run."""
    if config.data.reply and config.train.recipe != "hierarchy":
        raise StcError(
            "option --reply",
            expected="the recipe hierarchy, the only one that writes",
            got=config.train.recipe,
            remedy="Add --recipe hierarchy, or leave --reply out.",
        )
    steps = (shrink,) if config.shrink else RECIPES[config.train.recipe]
    for step in steps:
        step(config, writer)
    return writer.finish()


_Step = Callable[[RunConfig, RunWriter], None]
RECIPES: dict[str, tuple[_Step, ...]] = {
    "stc": (train_sparse,),
    "variability": (train_sparse, stop_if_interrupted, tune_variability),
    "hierarchy": (
        hierarchy.check_hierarchy,
        train_sparse,
        stop_if_interrupted,
        hierarchy.tune_hierarchy,
    ),
    "attention": (
        attention.check_attention,
        train_sparse,
        stop_if_interrupted,
        attention.tune_attention,
    ),
}
"""The steps of each recipe, in order."""
