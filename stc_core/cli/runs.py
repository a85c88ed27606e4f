"""The commands that manage runs: runs, rename, cancel, delete."""

from typing import Annotated

import typer

from stc_core.cli.common import open_run, print_json
from stc_core.cli.options import AsJson, RunFolder
from stc_core.runs.layout import RunFile


def runs(*, as_json: AsJson = False) -> None:
    """List the runs, newest first, and start waiting runs if there is room."""
    from stc_core.cli import console
    from stc_core.runs.listing import run_record
    from stc_core.runs.processes import queue
    from stc_core.runs.run import list_runs

    queue.advance()
    lines = []
    for run in list_runs():
        place = queue.position(run.folder)
        lines.append({**run_record(run.summary()), "position": place})
    if as_json:
        print_json(lines)
        return
    for line in lines:
        if line["position"]:
            line["state"] = f"{line['state']}, {line['position']}"
    console.show_runs(lines)


def rename(
    run: RunFolder,
    name: Annotated[
        str, typer.Argument(help="New name; '' brings back the first name.")
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Rename a run; its folder keeps its name."""
    from stc_core.runs import annotations

    opened = open_run(run)
    annotations.rename(opened.folder, name)
    if as_json:
        print_json({"run": opened.folder.name, "name": opened.name})
        return
    typer.echo(f"{opened.folder.name} is now called {opened.name!r}", err=True)


def cancel(run: RunFolder, *, as_json: AsJson = False) -> None:
    """Stop an active run, or remove a waiting run from the queue."""
    from stc_core.runs.processes import jobs

    opened = open_run(run)
    stopped = jobs.cancel(opened.folder)
    if as_json:
        print_json({"run": opened.folder.name, "cancelled": stopped})
        return
    typer.echo("Cancelled." if stopped else "The run had already ended.", err=True)


def delete(run: RunFolder, *, as_json: AsJson = False) -> None:
    """Move a run to the trash; the page Runs can bring it back for 30 days."""
    from stc_core.display import size
    from stc_core.paths import runs_folder, trash_folder
    from stc_core.runs import trash
    from stc_core.runs.run import Run

    known = Run(runs_folder() / run)
    # A run with damaged settings cannot be opened, but it can be deleted.
    unwanted = known if known.has(RunFile.CONFIG) else open_run(run)
    needed = trash.needed_by(unwanted)
    deleted = trash.delete(unwanted)
    where = trash_folder() / deleted.key
    if as_json:
        facts = {"run": unwanted.folder.name, "name": deleted.name}
        names = [other.folder.name for other in needed]
        facts |= {"bytes": deleted.n_bytes, "trash": str(where), "read_by": names}
        print_json(facts)
        return
    for other in needed:
        typer.echo(f"{other.name!r} reads the model that this run tuned", err=True)
    typer.echo(f"{deleted.name!r}, {size(deleted.n_bytes)}, is in {where}", err=True)
