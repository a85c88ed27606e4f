"""The commands that pack a run into one file, and make a run of such a file."""

from typing import Annotated

import typer

from stc_core.cli.common import open_run
from stc_core.cli.options import RunFolder
from stc_core.memory import without_collection


def export(
    run: RunFolder,
    file: Annotated[str, typer.Argument(help="The bundle to write.", metavar="FILE")],
    *,
    texts: Annotated[
        bool,
        typer.Option(
            "--texts",
            help="Also pack the texts of the training and the answers for them.",
        ),
    ] = False,
) -> None:
    """Pack a finished run into one file that needs nothing else, and no network.

    The file has the classifier, the blocks of the backbone that it reads, the
    tokenizer, the scores, a model card and a note on licences. `predict`, `explain`,
    `generate`, `report` and `serve` take it in place of a run.
    """
    with without_collection():
        from stc_core.display import size
        from stc_core.export.bundle import write_bundle

        facts = write_bundle(open_run(run), file, texts=texts)
    layers = f"{facts.blocks} of {facts.blocks_total} layers"
    typer.echo(f"{file}: {size(facts.n_bytes)}, {layers}", err=True)
    if facts.whole_because:
        typer.echo(f"The backbone is whole: {facts.whole_because}", err=True)
    typer.echo(f"sha256 {facts.sha256}", err=True)


def import_(
    file: Annotated[
        str, typer.Argument(help="A file that `stc export` wrote.", metavar="FILE")
    ],
) -> None:
    """Make a run of a bundle, in the folder of all runs.

    Nothing in the bundle is executed. A file that is damaged, or holds anything but a
    bundle, is refused.
    """
    from stc_core.export.imported import import_bundle

    imported = import_bundle(file)
    typer.echo(f"{imported.name!r} is in {imported.folder}", err=True)
