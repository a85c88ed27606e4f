"""The commands that do a run: train, shrink, resume, work."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from stc_core.cli.common import (
    config_of,
    engine_of,
    open_run,
    options_named,
    print_json,
    program,
    run_location,
    spread_options,
    terminate_as_interrupt,
)
from stc_core.cli.options import (
    AsJson,
    AttentionOptions,
    ColumnOptions,
    EngineOptions,
    HierarchyOptions,
    Out,
    Overwrite,
    RunFolder,
    RunName,
    SettingOptions,
    TestOption,
    TrainingOptions,
    TuningOptions,
)
from stc_core.config import RunConfig, TrainConfig
from stc_core.data.reading.hub_table import is_hub_table
from stc_core.data.reading.pipes import is_stream, source_name
from stc_core.engine.settings import EngineConfig
from stc_core.errors import StcError
from stc_core.files import read_json
from stc_core.runs.environment import (
    changed_tables,
    changed_versions,
    read_environment,
)
from stc_core.runs.layout import RunFile


@spread_options
def train(
    data: Annotated[
        str | None,
        typer.Argument(
            help="CSV, TSV, JSONL or Parquet, also as .gz; - is standard input. With "
            "--config it may be left out.",
            metavar="DATA",
        ),
    ] = None,
    *,
    config: Annotated[
        str | None,
        typer.Option(
            help="Settings from this config.json, or from that of a run's folder. "
            "DATA and options that are given win over it.",
            metavar="FILE",
        ),
    ] = None,
    test: TestOption,
    columns: ColumnOptions,
    out: Out = None,
    overwrite: Overwrite = False,
    name: RunName = "",
    training: TrainingOptions,
    tuning: TuningOptions,
    hierarchy: HierarchyOptions,
    attention: AttentionOptions,
    engine: EngineOptions,
    as_json: AsJson = False,
) -> None:
    """Train a classifier on a table and keep the result as a run.

    Of the tuning options, attention uses only those that are not about blocks. With a
    --schedule that tunes it uses those, too, and so does contrastive: --where top tunes
    the top blocks, any other value all blocks.
    """
    settings = training_settings(training, tuning, hierarchy, attention)
    if data is None and config is None:
        raise StcError("argument DATA", expected="a table, or --config", got="neither")
    where = {"path": data, **test, **columns}
    on_engine = engine_of(engine)
    wanted = config_of(where, settings, name=name, file=config)
    if config is not None:
        _tell_changes(Path(config))
    _begin(wanted, out, overwrite=overwrite, engine=on_engine, as_json=as_json)


def _tell_changes(source: Path) -> None:
    """Say what has changed since the run that the settings came from.

    Without these changes the new run would be the same as that one.
    """
    folder = source if source.is_dir() else source.parent
    if (kept := read_environment(folder)) is not None:
        for change in (*changed_tables(kept), *changed_versions(kept)):
            typer.echo(change, err=True)


def training_settings(
    training: dict[str, Any],
    tuning: dict[str, Any],
    hierarchy: dict[str, Any],
    attention: dict[str, Any],
) -> dict[str, Any]:
    """The settings of TrainConfig from the groups of options of a training."""
    return {
        **training,
        "tune": tuning,
        "hierarchy": hierarchy,
        "attention": {**attention, "epochs": tuning.get("epochs")},
        "contrastive": {name: tuning.get(name) for name in ("epochs", "batch")},
    }


@spread_options
def shrink(
    run: RunFolder,
    *,
    limits: Annotated[
        dict[str, Any],
        SettingOptions(
            TrainConfig,
            only=("max_layer", "max_neurons", "tolerance", "stable", "use_weight"),
        ),
    ],
    extract: Annotated[
        bool, typer.Option("--extract", help="Read the texts again if necessary.")
    ] = False,
    out: Out = None,
    overwrite: Overwrite = False,
    name: RunName = "",
    as_json: AsJson = False,
) -> None:
    """Make a new run with a cheaper classifier from a finished run.

    The texts are not read again. Without options it takes the shallowest classifier
    within one point of the best score on held-out texts.
    """
    parent = open_run(run)
    from stc_core.recipes.shrink_settings import shrink_config

    with options_named():
        config = shrink_config(parent, **limits, extract=extract, name=name)
    _begin(config, out, overwrite=overwrite, as_json=as_json)


@spread_options
def resume(run: RunFolder, *, engine: EngineOptions, as_json: AsJson = False) -> None:
    """Continue a run that was interrupted; what is on disk is not done again.

    Activations continue where they stopped, a tuning after its last finished epoch.
    """
    on_engine = engine_of(engine)
    opened = open_run(run)
    terminate_as_interrupt()
    with engine_forwards(on_engine) as elsewhere:
        _work(
            opened.folder,
            opened.config,
            again=True,
            elsewhere=elsewhere,
            as_json=as_json,
        )


def work(folder: str) -> None:
    """Do the queued run in FOLDER; the app starts this command."""
    from stc_core.runs.processes import jobs

    terminate_as_interrupt()
    jobs.work(folder, _train_queued)


def _begin(
    config: RunConfig,
    out: str | None,
    *,
    overwrite: bool,
    engine: EngineConfig | None = None,
    as_json: bool,
) -> None:
    """Do a new run in the folder `out`, or in a new folder of the runs folder."""
    from stc_core.runs.processes import jobs

    typed = config.data
    config = jobs.absolute_paths(config)
    for before, after in (
        (typed.path, config.data.path),
        (typed.test_path, config.data.test_path),
    ):
        if before and (is_stream(before) or is_hub_table(before)):
            typer.echo(f"{source_name(before)} is kept as {after}", err=True)
    terminate_as_interrupt()
    with engine_forwards(engine) as elsewhere:
        folder = jobs.new_folder(config) if out is None else Path(out)
        with jobs.prepared_folder(folder, overwrite=overwrite) as folder:
            _work(folder, config, elsewhere=elsewhere, as_json=as_json)


def engine_forwards(engine: EngineConfig | None) -> AbstractContextManager[Any]:
    """A context with what runs the forwards of a training; None for this process."""
    if engine is None:
        return nullcontext()
    from stc_core.engine import sharded_forwards

    return sharded_forwards.forwards_on(engine)


def _work(
    folder: Path,
    config: Any,
    *,
    again: bool = False,
    elsewhere: Any = None,
    as_json: bool = False,
) -> None:
    """Do the run in this process, and print its progress and its result.

    `elsewhere` runs the forwards of its texts.
    """
    from stc_core.cli import console
    from stc_core.runs.ownership import owned
    from stc_core.runs.processes import jobs, queue
    from stc_core.runs.processes.worker import Worker
    from stc_core.runs.writer import RunWriter

    with owned(folder):
        if again:  # after the imports: Ctrl-C during them leaves the run as it was
            jobs.claim(folder, by=Worker.current())
        with (
            queue.advance_at_end(),
            console.PhaseBar() as bar,
            RunWriter(
                folder, config, on_status=bar.show, elsewhere=elsewhere
            ) as writer,
        ):
            try:
                run = _train(writer.config, writer)
            except StcError as error:
                writer.fail(error)
                if not writer.discard_if_unbegun():
                    typer.echo(f"The log is in {folder / 'log.txt'}", err=True)
                raise
    if as_json:
        print_json({**run_location(run), "metrics": run.metrics})
        return
    console.show_result(run)
    console.show_next(run, program=program())


def _train_queued(config: Any, writer: Any) -> Any:
    """Train on the engine that the run was queued with, if it was."""
    path = writer.folder / RunFile.ENGINE
    engine = EngineConfig(**read_json(path)) if path.is_file() else None
    with engine_forwards(engine) as writer.elsewhere:
        return _train(config, writer)


def _train(config: Any, writer: Any) -> Any:
    """Train with the recipe of `config`, imported late so that the bar shows first."""
    from stc_core.recipes import registry

    return registry.train(config, writer)
