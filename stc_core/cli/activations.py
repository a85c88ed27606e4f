"""The command that writes activations of a table's texts for other programs."""

from typing import Annotated, Any

import typer

from stc_core.cli.common import config_of, engine_of, print_json, spread_options
from stc_core.cli.options import AsJson, EngineOptions, SettingOptions, Table
from stc_core.config import DataConfig, TrainConfig
from stc_core.engine.settings import EngineConfig
from stc_core.errors import StcError
from stc_core.poolings import POOLING_RULES

Sites = Annotated[
    list[str] | None,
    typer.Option(
        help="A site such as resid.4 or mlp.3; repeat it for more. Default: all.",
        metavar="SITE",
    ),
]
Poolings = Annotated[
    list[str] | None,
    typer.Option(help="mean, max, first or last; repeat it for more. Default: mean."),
]


@spread_options
def activations(
    data: Table,
    *,
    columns: Annotated[
        dict[str, Any],
        SettingOptions(DataConfig, only=("text", "labels", "id", "encoding")),
    ],
    model: Annotated[
        dict[str, Any],
        SettingOptions(TrainConfig, only=("backbone", "device", "dtype", "max_length")),
    ],
    out: Annotated[
        str, typer.Option(help="The .safetensors file to write.", metavar="FILE")
    ],
    site: Sites = None,
    pooling: Poolings = None,
    tokens: Annotated[
        bool, typer.Option("--tokens", help="Write every token instead of pooling.")
    ] = False,
    engine: EngineOptions,
    half: Annotated[
        bool, typer.Option("--half", help="Write float16 instead of float32.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the activations of a table's texts to a safetensors file.

    A tensor is called like its site and pooling, such as resid.4.mean; its rows are
    those of the texts. With --tokens its rows are tokens, and `offsets` says where each
    text begins. Row numbers, ids and labels are in a .rows.parquet file beside it. Rows
    without text are left out.
    """
    if tokens and pooling:
        raise StcError("--pooling", expected="no --tokens with it", got="--tokens")
    for name in pooling or ():
        if name not in POOLING_RULES:
            known = ", ".join(POOLING_RULES)
            raise StcError("option --pooling", expected=known, got=repr(name))
    config, on_engine = config_of({"path": data, **columns}, model), engine_of(engine)
    if tokens and on_engine is not None:
        raise StcError("--engine", expected="no --tokens with it", got="--tokens")
    rows, texts = _read(config.data)
    facts = _write(
        texts,
        rows,
        config.train,
        out,
        sites=site,
        poolings=None if tokens else (pooling or ["mean"]),
        dtype="float16" if half else "float32",
        engine=on_engine,
    )
    if as_json:
        print_json({"file": out, **facts._asdict()})
    else:
        _show(out, facts, tokens=tokens)


def _read(data: DataConfig) -> tuple[Any, list[str]]:
    """The row numbers, ids and labels of the rows that have a text, and the texts."""
    from stc_core.data.texts import read_text_rows
    from stc_core.display import count

    found = read_text_rows(data)
    if found.n_blank:
        typer.echo(f"Left out: {count(found.n_blank, 'row')} without text", err=True)
    return found.rows, found.texts


def _write(
    texts: list[str],
    rows: Any,
    train: TrainConfig,
    out: str,
    *,
    sites: list[str] | None,
    poolings: list[str] | None,
    dtype: str,
    engine: EngineConfig | None,
) -> Any:
    """Read the texts with the backbone, write the file, and return what is in it."""
    from stc_core.cli import console

    unit = "texts read" if poolings is None or engine else "tokens read"
    with console.CountBar(unit) as bar:
        from stc_core.activations.saving import save_pooled, save_tokens
        from stc_core.backbone.backbone import Backbone
        from stc_core.types import PooledSite, Site

        backbone = Backbone.load(
            train.backbone,
            device=train.device,
            dtype=train.dtype,
            max_length=train.max_length,
        )
        chosen = list(map(Site.parse, sites)) if sites else list(backbone.sites)
        how: dict[str, Any] = {"dtype": dtype, "rows": rows, "progress": bar.show}
        if poolings is None:
            return save_tokens(backbone, texts, chosen, out, **how)
        names = [f"{site}.{pooling}" for site in chosen for pooling in poolings]
        wanted = list(map(PooledSite.parse, names))
        if engine is None:
            return save_pooled(backbone, texts, wanted, out, **how)
        from stc_core.engine.sharded_activations import read_in_shards

        return read_in_shards(backbone, texts, wanted, out, engine, **how, tell=bar.say)


def _show(out: str, facts: Any, *, tokens: bool) -> None:
    """Say what is in the file."""
    from stc_core.activations.saving import rows_path
    from stc_core.display import count, size

    what = count(facts.n_texts, "text")
    if tokens:
        what += f", {count(facts.n_rows, 'token')}"
    typer.echo(f"{out}: {what}, {size(facts.n_bytes)}", err=True)
    typer.echo(f"{rows_path(out)}: ids and labels", err=True)
