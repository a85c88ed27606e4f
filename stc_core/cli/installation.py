"""The commands about this machine: doctor, and models list, add and remove."""

from typing import Annotated, Any

import typer

from stc_core.cli.common import print_json
from stc_core.cli.options import AsJson

models_app = typer.Typer(
    help="List, add and remove the language models on this machine.",
    no_args_is_help=True,
)


def doctor(*, as_json: AsJson = False) -> None:
    """Check that this machine can train: packages, device, memory, disk, models.

    Exit code 2 if something that training needs is broken. Only the Hugging Face Hub
    is asked over the network, for 3 seconds at most.
    """
    from stc_core.installation.diagnosis import diagnose

    diagnosis = diagnose()
    if as_json:
        print_json(diagnosis.record())
    else:
        _show_diagnosis(diagnosis)
    if not diagnosis.ok:
        raise typer.Exit(2)


def _show_diagnosis(diagnosis: Any) -> None:
    """Print each fact on a line, then what is wrong and how to mend it."""
    from rich.text import Text

    from stc_core.cli.console import output
    from stc_core.display import size
    from stc_core.installation.extras import EXTRAS

    console = output()
    there = [name for name, missing in diagnosis.extras.items() if not missing]
    memory = (
        f"{size(diagnosis.memory_free_bytes)} free of {size(diagnosis.memory_bytes)}"
    )
    facts = {
        "STC Studio": f"{diagnosis.version}, Python {diagnosis.python}, "
        f"{diagnosis.system}",
        "device": diagnosis.device or "none that computes",
        "threads": f"{diagnosis.threads or 'unknown'} of {diagnosis.cores} cores",
        "memory": memory,
        "home": f"{diagnosis.home}, {size(diagnosis.disk_free_bytes)} free",
        "Hub": diagnosis.hub,
        "models": ", ".join(diagnosis.models) or "none",
        "extras": ", ".join(there) or "none",
    }
    for name, fact in facts.items():
        console.print(Text(f"{name:<11}", style="dim") + Text(fact), soft_wrap=True)
    for name, missing in diagnosis.extras.items():
        if missing:
            line = f"missing for {EXTRAS[name].purpose}: {', '.join(missing)}; "
            line += f"pip install 'stc-studio[{name}]'"
            console.print(Text(line, style="dim"), soft_wrap=True)
    for severity, what, remedy in diagnosis.problems:
        style = "bold red" if severity == "error" else "yellow"
        line = Text(f"{severity}: ", style=style) + Text(f"{what} {remedy}")
        console.print(line, soft_wrap=True)
    if not diagnosis.problems:
        console.print("No problems found.")


@models_app.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List the models that need no network, with their size and the runs that use them.

    A run made with another home is not known here.
    """
    from stc_core.installation.models import list_models

    models = list_models()
    if as_json:
        print_json([model.record() for model in models])
    else:
        _show_models(models)


@models_app.command()
def add(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder with a model, or an id of the Hub.", metavar="MODEL"
        ),
    ],
    *,
    name: Annotated[
        str | None,
        typer.Option(help="What a copied folder is called; its own name if not given."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy a model into the home, or download it, and try it on a few tokens.

    Only safetensors are read, and code that comes with a model is never run. A model
    that cannot be used is refused and leaves nothing behind.
    """
    from stc_core.cli.console import CountBar
    from stc_core.display import size
    from stc_core.installation.models import add_model

    with CountBar("bytes downloaded") as bar:
        added = add_model(source, name=name, progress=bar.show)
    if as_json:
        print_json({**added.model.record(), "notes": list(added.notes)})
        return
    for note in added.notes:
        typer.echo(note, err=True)
    model = added.model
    typer.echo(f"{model.id}: {size(model.n_bytes)}, in {model.folder}", err=True)


@models_app.command()
def remove(
    model: Annotated[
        str, typer.Argument(help="Its id, as `stc models list` shows it.")
    ],
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Also if finished runs use it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a model of the home; no run and no other file is touched."""
    from stc_core.display import size
    from stc_core.installation.models import remove_model

    removed = remove_model(model, force=force)
    if as_json:
        print_json(removed.record())
        return
    typer.echo(f"{removed.id}: {size(removed.n_bytes)} freed", err=True)
    if removed.runs:
        typer.echo(f"Used by {', '.join(removed.runs)}", err=True)


def _show_models(models: list[Any]) -> None:
    """Print one line for each model."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from stc_core.cli.console import output
    from stc_core.display import size

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("model", overflow="fold")
    table.add_column("size", justify="right")
    for head in ("kind", "family", "used by"):
        table.add_column(head, overflow="fold")
    for model in models:
        name = f"{model.id} (embedded)" if model.embedded else model.id
        used = ", ".join(model.runs) or "no run"
        facts = (Text(name), size(model.n_bytes), model.kind, model.family, Text(used))
        table.add_row(*facts)
    output().print(table)
