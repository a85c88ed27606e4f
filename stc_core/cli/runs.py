"""The commands that keep the runs in order: list, rename, cancel, delete them."""

from typing import Annotated

import typer

from stc_core.cli.common import open_run, print_json
from stc_core.cli.options import AsJson, RunFolder


def runs(*, as_json: AsJson = False) -> None:
    """List the runs, newest first; start those that wait if a place is free."""
    from stc_core.cli import console
    from stc_core.runs import queue
    from stc_core.runs.annotations import read_about
    from stc_core.runs.run import list_runs

    queue.advance()
    lines = []
    for run in list_runs():
        tags, place = read_about(run.folder).tags, queue.position(run.folder)
        lines.append({**run.summary(), "tags": list(tags), "position": place})
    if as_json:
        print_json(lines)
        return
    for one in lines:
        if one["position"]:
            one["state"] = f"{one['state']}, {one['position']}"
    console.show_runs(lines)


def rename(
    run: RunFolder,
    name: Annotated[str, typer.Argument(help="'' is the name of its settings.")],
) -> None:
    """Call a run something else; its folder keeps its name."""
    from stc_core.runs import annotations

    opened = open_run(run)
    annotations.rename(opened.folder, name)
    typer.echo(f"{opened.folder.name} is called {opened.name!r} now", err=True)


def cancel(run: RunFolder) -> None:
    """Stop a run that is at work, or take one that waits out of the queue."""
    from stc_core.runs import jobs

    opened = open_run(run)
    stopped = jobs.cancel(opened.folder)
    typer.echo("Cancelled." if stopped else "It had ended already.", err=True)


def delete(run: RunFolder) -> None:
    """Move a run to the trash; for 30 days the page Runs can bring it back."""
    from stc_core.display import size
    from stc_core.paths import runs_folder
    from stc_core.runs import trash
    from stc_core.runs.run import Run

    known = Run(runs_folder() / run)
    # A run whose settings are damaged cannot be opened, but it can go.
    going = known if known.has("config.json") else open_run(run)
    needed = trash.needed_by(going)
    gone = trash.delete(going)
    for other in needed:
        typer.echo(f"{other.name!r} reads the model that was tuned there", err=True)
    where = trash.trash_folder() / gone.key
    typer.echo(f"{gone.name!r}, {size(gone.n_bytes)}, is in {where}", err=True)
