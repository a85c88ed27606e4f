"""The commands that work on a run: a new one, a smaller one, one that was cut off."""

from pathlib import Path
from typing import Annotated, Any

import typer

from stc_core.cli.common import (
    config_of,
    open_run,
    options_named,
    program,
    spread_options,
    terminate_as_interrupt,
)
from stc_core.cli.options import (
    AttentionOptions,
    ColumnOptions,
    Hierarchy,
    MaxLayer,
    MaxNeurons,
    Recipe,
    RunFolder,
    RunName,
    RunPlace,
    Table,
    Test,
    Tolerance,
    Training,
    Tuning,
)
from stc_core.data.reading.pipes import is_stream, source_name
from stc_core.errors import StcError


@spread_options
def train(
    data: Table,
    *,
    test: Test = None,
    recipe: Recipe = "stc",
    columns: ColumnOptions,
    place: RunPlace,
    name: RunName = "",
    training: Training,
    tuning: Tuning,
    hierarchy: Hierarchy,
    attention: AttentionOptions,
) -> None:
    """Train a classifier on a table, and leave a run to look at.

    From --where on, the options are those of tuning, by the recipe variability or
    hierarchy; --level-layer to --final-norm are those of hierarchy. The recipe
    attention has --per-class to --lm-weight, and of tuning all that is not about
    blocks; with a --schedule that tunes, those too (--where top, or else all).
    """
    settings = {
        **vars(training),
        "recipe": recipe,
        "tune": vars(tuning),
        "hierarchy": vars(hierarchy),
        "attention": {**vars(attention), "epochs": tuning.epochs},
    }
    where = {"path": data, "test_path": test, **vars(columns)}
    _begin(config_of(where, settings, name=name), place)


@spread_options
def shrink(
    run: RunFolder,
    *,
    max_layer: MaxLayer = None,
    max_neurons: MaxNeurons = None,
    tolerance: Tolerance = None,
    extract: Annotated[
        bool, typer.Option("--extract", help="Read the texts again if need be.")
    ] = False,
    place: RunPlace,
    name: RunName = "",
) -> None:
    """Make a cheaper classifier from a finished run, a new run without extraction.

    With no option: the shallowest within one point of the best validation score.
    """
    parent = open_run(run)
    from stc_core.analysis import shrink_options

    with options_named():
        config = shrink_options.smaller(
            parent,
            max_layer=max_layer,
            max_neurons=max_neurons,
            tolerance=tolerance,
            extract=extract,
            name=name,
        )
    _begin(config, place)


def resume(run: RunFolder) -> None:
    """Go on with a run that was cut off: what is on disk already is not done again.

    Activations go on where they were, a tuning after its last whole epoch.
    """
    opened = open_run(run)
    terminate_as_interrupt()
    _work(opened.folder, opened.config, again=True)


def work(folder: str) -> None:
    """Do the queued run in FOLDER; the app starts this."""
    from stc_core.runs import jobs

    terminate_as_interrupt()
    jobs.work(folder, _train)


def _begin(config: Any, place: RunPlace) -> None:
    """Do a new run in its place, or in a folder of its own."""
    from stc_core.runs import jobs

    given = config.data
    config = jobs.absolute(config)
    for before, after in (
        (given.path, config.data.path),
        (given.test_path, config.data.test_path),
    ):
        if before and is_stream(before):
            typer.echo(f"{source_name(before)} is kept as {after}", err=True)
    terminate_as_interrupt()
    folder = jobs.new_folder(config) if place.out is None else Path(place.out)
    with jobs.prepared_folder(folder, overwrite=place.overwrite) as folder:
        _work(folder, config)


def _work(folder: Path, config: Any, *, again: bool = False) -> None:
    """Do the run in this process, and show how it goes and what came of it."""
    from stc_core.cli import console
    from stc_core.runs import jobs, queue
    from stc_core.runs.writer import RunWriter

    if again:  # after the imports, whose seconds Ctrl-C may fall into
        jobs.claim(folder)
    with (
        queue.handing_on(),
        console.PhaseBar() as bar,
        RunWriter(folder, config, on_status=bar.show) as writer,
    ):
        try:
            run = _train(writer.config, writer)
        except StcError as error:
            writer.fail(error)
            if not writer.discard_if_unbegun():
                typer.echo(f"The log is in {folder / 'log.txt'}", err=True)
            raise
    console.show_result(run)
    console.show_next(run, program=program())


def _train(config: Any, writer: Any) -> Any:
    """`recipes.train`, imported when a run begins: its bar is shown meanwhile."""
    from stc_core.recipes import registry

    return registry.train(config, writer)
