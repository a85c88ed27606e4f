"""The commands about several trainings on one table: sweep, rank."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from stc_core.cli.common import (
    config_of,
    engine_of,
    options_named,
    print_json,
    spread_options,
    terminate_as_interrupt,
)
from stc_core.cli.options import (
    AsJson,
    AttentionOptions,
    ColumnOptions,
    EngineOptions,
    HierarchyOptions,
    SettingOptions,
    Table,
    TestOption,
    TuningOptions,
)
from stc_core.cli.train import engine_forwards, training_settings
from stc_core.config import SETTING_PARTS, TrainConfig
from stc_core.sweeps.axes import SWEEP_AXES, parse_seeds


@spread_options
def sweep(
    data: Table,
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
    name: Annotated[
        str,
        typer.Option(
            help="Name of the sweep. Default: that of DATA, and six digits that stand "
            "for all arguments."
        ),
    ] = "",
    training: Annotated[
        dict[str, Any],
        SettingOptions(
            TrainConfig, without=(*SETTING_PARTS, "seed"), repeated=SWEEP_AXES[:-1]
        ),
    ],
    seed: Annotated[
        list[str] | None,
        typer.Option(
            "--seed",
            help="A seed, a list such as 1,5,9, or a range such as 0..4, which has "
            "both ends. Repeat it for more.",
            metavar="SEEDS",
        ),
    ] = None,
    tuning: TuningOptions,
    hierarchy: HierarchyOptions,
    attention: AttentionOptions,
    engine: EngineOptions,
    as_json: AsJson = False,
) -> None:
    """Train every combination of settings that are given several times.

    Each is an ordinary run, one after another. The same command again goes on with what
    is not done. A run that fails costs its own row. Settings are ranked by their mean
    score on held-out rows.
    """
    from stc_core.cli.sweeps import tables
    from stc_core.sweeps.folder import read_sweep
    from stc_core.sweeps.table import runs_frame, settings_frame
    from stc_core.sweeps.work import train_sweep

    on_engine = engine_of(engine)
    values: dict[str, list[Any]] = {
        n: training.pop(n) for n in SWEEP_AXES if n in training
    }
    if seed:
        values["seed"] = list(parse_seeds(seed))
    first = {axis: several[0] for axis, several in values.items()}
    settings = training_settings({**training, **first}, tuning, hierarchy, attention)
    where = {"path": data, **test, **columns}
    planned = _planned(config_of(where, settings, file=config), values, name)
    terminate_as_interrupt()
    with (
        engine_forwards(on_engine) as elsewhere,
        tables.SweepProgress(len(planned.runs)) as bar,
    ):
        folder = train_sweep(
            planned, on_begin=bar.begin, on_status=bar.show, elsewhere=elsewhere
        )
    kept = read_sweep(folder)
    runs = runs_frame(kept)
    by_setting = settings_frame(kept, runs)
    if as_json:
        print_json(tables.sweep_record(kept, folder, runs, by_setting))
    else:
        tables.show_sweep(kept, folder, runs, by_setting)
    if "done" not in set(runs["state"]):
        raise typer.Exit(2)


def _planned(config: Any, values: Mapping[str, list[Any]], name: str) -> Any:
    """The sweep of these values; StcError names the option of one that is wrong."""
    from stc_core.sweeps.plan import plan_sweep

    with options_named():
        return plan_sweep(config, values, name=name)


@spread_options
def rank(
    data: Table,
    *,
    backbone: Annotated[
        list[str],
        typer.Option(
            help="A language model: a folder, or an id of the Hugging Face Hub. Repeat "
            "it for more.",
        ),
    ],
    test: TestOption,
    columns: ColumnOptions,
    rows: Annotated[
        int,
        typer.Option(help="How many training rows are read, 20 to 5,000."),
    ] = 1000,
    training: Annotated[
        dict[str, Any],
        SettingOptions(
            TrainConfig,
            only=("device", "dtype", "max_length", "seed"),
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Rank language models on a sample of a table, without training on any.

    The score is LogME: the evidence for the labels in the hidden states of the best
    layer. Test rows are not read. A model that cannot be read costs its own row.
    """
    from stc_core.cli.sweeps import tables
    from stc_core.recipes.sparse import read_run_table
    from stc_core.sweeps.rank import draw_ranking_sample, rank_backbones

    where = {"path": data, **test, **columns}
    config = config_of(where, {**training, "backbone": backbone[0]})
    sample = draw_ranking_sample(read_run_table(config), config.train, rows=rows)
    terminate_as_interrupt()
    with tables.RankProgress(len(backbone)) as bar:
        ranked = rank_backbones(
            sample, backbone, config.train, progress=bar.show, on_result=bar.done
        )
    if as_json:
        print_json(tables.rank_record(sample, ranked))
    else:
        tables.show_ranked(sample, ranked)
    if all(one.score is None for one in ranked):
        raise typer.Exit(2)
