"""The commands that use a finished run: label with it, explain it, list it."""

from contextlib import nullcontext
from itertools import groupby
from typing import Annotated

import typer

from stc_core.cli.common import open_run, print_json, terminate_as_interrupt
from stc_core.cli.options import AsJson, EncodingName, RunFolder, Table
from stc_core.errors import StcError
from stc_core.memory import without_collection
from stc_core.streams import stop_with_reader


def predict(
    run: RunFolder,
    data: Table,
    *,
    out: Annotated[str, typer.Option(help="Suffix chooses the format; - is stdout.")],
    text: Annotated[
        str | None, typer.Option(help="Column of the texts; that of the training.")
    ] = None,
    encoding: EncodingName = None,
    levels: Annotated[
        int | None, typer.Option(help="Levels of label to answer; all if none.")
    ] = None,
    coarse_only: Annotated[
        bool, typer.Option("--coarse-only", help="The same as --levels 1.")
    ] = False,
) -> None:
    """Label a table of any length: its columns, predicted_label, and p:CLASS each.

    Rows without text stay unlabelled. A column name that is taken gets a suffix _2. A
    run of the recipe hierarchy adds predicted_LEVEL and probability_LEVEL for each
    level; with fewer levels only the blocks that they need are run. One that learned to
    reply adds written_reply, unless levels are left out.
    """
    with without_collection():
        from stc_core.classifiers import predict_table
        from stc_core.cli import console

        opened = open_run(run)
        trained = opened.report.columns.text
        classifier = opened.classifier()
    if coarse_only or levels is not None:
        from stc_core.classifiers.hierarchical import shallow

        classifier = shallow(classifier, 1 if coarse_only else levels)
    printing = stop_with_reader() if out == "-" else nullcontext()
    with console.CountBar("rows labelled") as bar, printing:
        labelled = predict_table.predict_file(
            classifier,
            data,
            out,
            trained=trained,
            text=text,
            encoding=encoding,
            progress=bar.show,
            tell=bar.say,
        )
        where = "standard output" if out == "-" else out
        typer.echo(f"{labelled.said}: {where}", err=True)


def generate(
    run: RunFolder,
    *,
    text: Annotated[str, typer.Option(help="The text to answer.")],
    temperature: Annotated[
        float, typer.Option(help="0 takes the likeliest word; more draws others.")
    ] = 0.0,
    top_p: Annotated[
        float, typer.Option(help="Draw among the words that make up this much.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Draws the same words again.")] = 0,
    length: Annotated[
        int | None, typer.Option(help="Tokens at most; as many as learned if none.")
    ] = None,
) -> None:
    """Write a reply to a text, word by word; its labels go to standard error.

    For a run that learned replies: train --recipe hierarchy --reply COLUMN.
    """
    with without_collection():
        from stc_core.classifiers.sampling import Decoding

        author = open_run(run).classifier()
    if not hasattr(author, "tell"):
        raise StcError(
            f"generate with {run!r}",
            expected="a run that learned to reply",
            remedy="Train one: --recipe hierarchy --reply COLUMN, on a decoder.",
        )
    decoding = Decoding(temperature, top_p, seed, length)
    way, coming = author.tell(text, decoding)
    for step in author.steps(text, way):
        said = f"{step['column']}: {step['label']} ({step['probability']:.0%}, layer"
        typer.echo(f"{said} {step['layer']})", err=True)
    with stop_with_reader():
        for part, some in groupby(coming, key=lambda piece: piece.part):
            last = part == author.parts_[-1]
            if not last:
                typer.echo(f"{part}: ", nl=False, err=True)
            for piece in some:
                typer.echo(piece.text, nl=False, err=not last)
            typer.echo(err=not last)


def label(folder: str) -> None:
    """Do the order in FOLDER, a file to label; the app starts this."""
    from stc_core.runs import label_jobs

    terminate_as_interrupt()
    label_jobs.do_labelling(folder)


def explain(
    run: RunFolder,
    *,
    text: Annotated[str, typer.Option(help="The text to explain.")],
    gradients: Annotated[
        bool,
        typer.Option(
            "--gradients", help="Follow each word through the whole model, too."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say why a text gets its label: neurons and words, with their contributions."""
    from stc_core.cli import console

    with without_collection():
        classifier = open_run(run).classifier()
    explanation = classifier.explain(text)
    if gradients:
        from stc_core.interpret.integrated_gradients import integrated_gradients

        explanation["gradients"] = integrated_gradients(classifier, text)
    if as_json:
        print_json(explanation)
    else:
        console.show_explanation(explanation, text)
        if gradients:
            console.show_gradients(explanation["gradients"], text)


def report(
    run: RunFolder,
    *,
    html: Annotated[
        str | None, typer.Option(help="Write all of it to this file, to be read alone.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a run found: accuracy, baselines, layers and neurons.

    With --html its figures, tables, settings and limits as one file of about 5 MB that
    needs no network.
    """
    from stc_core.cli import console

    opened = open_run(run)
    if html is not None:
        from stc_core.display import size
        from stc_core.report.report import write_report

        typer.echo(f"{html}: {size(write_report(opened, html))}", err=True)
    elif as_json:
        print_json(opened.metrics)
    else:
        console.show_result(opened)
