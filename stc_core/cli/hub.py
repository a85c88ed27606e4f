"""The commands that send a run to the Hugging Face Hub, and get one from there."""

from functools import partial
from typing import Annotated, Any

import typer

from stc_core.cli.common import (
    open_run,
    print_json,
    run_location,
    terminate_as_interrupt,
)
from stc_core.cli.options import AsJson, RunFolder
from stc_core.errors import StcError
from stc_core.memory import without_collection

Repository = Annotated[
    str, typer.Argument(help="A model repository of the Hub.", metavar="OWNER/NAME")
]


def push(
    run: RunFolder,
    repository: Repository,
    *,
    texts: Annotated[
        bool,
        typer.Option(
            "--texts",
            help="Also send the texts of the training and the answers for them.",
        ),
    ] = False,
    public: Annotated[
        bool,
        typer.Option("--public", help="Let everyone see a new repository."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send a finished run to the Hugging Face Hub, as a bundle with its model card.

    A new repository is private. What will be sent is shown first. The token is that of
    `hf auth login`, or $HF_TOKEN.
    """
    terminate_as_interrupt()
    with without_collection():
        from stc_core.export.hub_repository import push_run

        opened = open_run(run)
        sent = push_run(
            opened,
            repository,
            texts=texts,
            private=not public,
            agree=partial(_agree, yes=yes),
        )
    if as_json:
        facts = {"commit": None, "sha256": None} if sent is None else sent._asdict()
        print_json({"repository": repository, "sent": sent is not None, **facts})
        return
    if sent is None:
        typer.echo("Nothing was sent.", err=True)
        return
    typer.echo(f"{repository} has it at commit {sent.commit}", err=True)
    typer.echo(f"sha256 {sent.sha256}", err=True)


def _agree(plan: Any, *, yes: bool) -> bool:
    """Say what will be sent, and ask unless the answer is given."""
    for line in plan.lines():
        typer.echo(line, err=True)
    try:
        return yes or typer.confirm("Send it?", err=True)
    except typer.Abort as error:
        raise StcError(
            "push", expected="the answer yes or no", got="none", remedy="Pass --yes."
        ) from error


def pull(
    repository: Repository,
    *,
    revision: Annotated[
        str | None, typer.Option(help="A commit, branch or tag. Default: the newest.")
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(help="Refuse a bundle that has another sha256.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Get a run from the Hugging Face Hub, into the folder of all runs.

    The bundle is checked as by `import`, and nothing in it is executed.
    """
    from stc_core.export.hub_repository import pull_run

    terminate_as_interrupt()
    got = pull_run(repository, revision=revision, sha256=sha256)
    if as_json:
        facts = {"commit": got.commit, "sha256": got.sha256}
        print_json({**run_location(got.run), **facts})
        return
    typer.echo(f"{got.run.name!r} is in {got.run.folder}", err=True)
    typer.echo(f"commit {got.commit}, sha256 {got.sha256}", err=True)
