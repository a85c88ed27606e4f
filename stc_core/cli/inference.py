"""The commands that use a finished run: predict, generate, label, explain, report."""

from collections.abc import Iterable
from contextlib import nullcontext
from itertools import groupby
from typing import Annotated, Any

import typer

from stc_core.cli.common import (
    engine_of,
    open_classifier_of,
    open_run,
    print_json,
    spread_options,
    terminate_as_interrupt,
)
from stc_core.cli.options import (
    AsJson,
    EncodingOption,
    EngineOptions,
    RunFolder,
    Table,
)
from stc_core.engine.settings import EngineConfig
from stc_core.errors import StcError
from stc_core.memory import without_collection
from stc_core.streams import stop_with_reader


@spread_options
def predict(
    run: RunFolder,
    data: Table,
    *,
    out: Annotated[
        str, typer.Option(help="Output file; its suffix sets the format; - is stdout.")
    ],
    text: Annotated[
        str | None,
        typer.Option(help="Text column; that of the training if not given."),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(help="Label column: the predictions are scored by its labels."),
    ] = None,
    reading: EncodingOption,
    levels: Annotated[
        int | None,
        typer.Option(help="Number of label levels to predict; all if not given."),
    ] = None,
    coarse_only: Annotated[
        bool, typer.Option("--coarse-only", help="The same as --levels 1.")
    ] = False,
    least_probability: Annotated[
        float | None,
        typer.Option(
            help="Give a coarser label where the finer one is less probable than this."
        ),
    ] = None,
    keep_formulas: Annotated[
        bool,
        typer.Option(
            "--keep-formulas",
            help="In CSV and TSV write cells that begin with = + - @ as they are.",
        ),
    ] = False,
    engine: EngineOptions,
    as_json: AsJson = False,
) -> None:
    """Label a table of any length, or a folder of tables.

    The result has the columns of the table, predicted_label, its probability, and
    p:CLASS for each class, in this order. Text files have four decimals. Rows without
    text get no label. If a column name is taken, the new column gets the suffix _2. A
    run of the recipe hierarchy adds predicted_LEVEL and probability_LEVEL for each
    level; with fewer levels only the blocks that they need are run. A run that learned
    replies adds written_reply, unless levels are left out.

    RUN may also be the folder of a transformers model that has a classification head.

    With --label the score of the predictions is printed, with its intervals and the
    classes that are confused most. In CSV and TSV an apostrophe is written before a
    cell that a spreadsheet would run as a formula; --keep-formulas leaves it out.
    """
    if as_json and out == "-":
        raise StcError(
            "option --json",
            expected="a file as --out",
            got="standard output for the table, too",
        )
    on_engine = engine_of(engine)
    terminate_as_interrupt()
    with without_collection():
        classifier, opened = open_classifier_of(run)
    if coarse_only or levels is not None or least_probability is not None:
        from stc_core.classifiers.hierarchical import limit_levels

        classifier = limit_levels(
            classifier, 1 if coarse_only else levels, least_probability
        )
    settings: dict[str, Any] = {
        "trained": "text" if opened is None else opened.report.columns.text,
        "text": text,
        "keep_formulas": keep_formulas,
        "label": label,
        "backbone": getattr(classifier, "backbone_", None),
        **reading,
    }
    if label is not None:
        from stc_core.analysis.confusion import learned_texts
        from stc_core.runs.layout import RunFile

        if opened is not None and _has_learned(opened, RunFile.CORPUS):
            settings["learned"] = learned_texts(opened.corpus)
    if on_engine is None:
        labelled = _label_file(classifier, data, out, settings)
    else:
        limits = {"levels": 1 if coarse_only else levels, "least": least_probability}
        work = _work_of(opened, run, on_engine, limits)
        labelled = _label_file(work, data, out, settings | {"config": on_engine})
    if as_json:
        score = label and _score_of(labelled, classifier, opened)
        if label is not None and not score:
            _say_no_score(labelled, label, classifier, opened)
        facts = {name: getattr(labelled, name) for name in ("rows", "blank", "cut")}
        facts = {"out": out} | facts
        print_json(facts | {"score": score.record() if score else None})
    elif label is not None and labelled is not None:
        _show_score(labelled, label, classifier, opened)


def _has_learned(run: Any, corpus: str) -> bool:
    """Whether the classifier of `run` was trained on its texts, which are kept."""
    return run.has(corpus) and "own_head" not in run.metrics


def _work_of(run: Any, name: str, config: EngineConfig, limits: dict[str, Any]) -> Any:
    """What the workers of an engine do: label with the classifier of the run."""
    from stc_core.engine.works import LabellingWork

    if run is None:
        raise StcError(
            f"--engine with {name!r}",
            expected="a run",
            got="a model alone",
            remedy="Make a run of it: `stc train DATA --backbone MODEL --recipe "
            "existing`.",
        )
    folder = run.folder / "model"
    return LabellingWork.of(folder, device=config.device, threads=config.cpus, **limits)


def _label_file(classifier: Any, data: str, out: str, settings: dict[str, Any]) -> Any:
    """Label the table `data` into `out` with a progress bar; say and return what was
    done.

    With the `config` of an engine among the settings, `classifier` is its work.
    """
    from stc_core.classifiers.predict_table import predict_file
    from stc_core.cli import console

    if "config" in settings:
        from stc_core.engine.sharded_labels import label_in_shards as predict_file
    output = stop_with_reader() if out == "-" else nullcontext()
    labelled = None  # it stays so if nobody reads the output any more
    with console.CountBar("rows labelled") as bar, output:
        labelled = predict_file(
            classifier,
            data,
            out,
            **settings,
            progress=bar.show,
            tell=bar.say,
        )
        where = "standard output" if out == "-" else out
        typer.echo(f"{labelled.said}: {where}", err=True)
    return labelled


def _score_of(labelled: Any, classifier: Any, run: Any) -> Any:
    """How well the predictions fit the labels of the file; None if no row counts."""
    from stc_core.analysis.confusion import score_pairs

    known = [str(name) for name in classifier.classes_]
    repairs = () if run is None else run.config.data.repairs
    return score_pairs(labelled.pairs, known, repairs, learned=labelled.learned)


def _show_score(labelled: Any, label: str, classifier: Any, run: Any) -> None:
    """Print how well the predictions fit the labels of the file, on standard error."""
    from stc_core.analysis.confusion import confused_pairs
    from stc_core.frames import records

    score = _score_of(labelled, classifier, run)
    if score is None:
        _say_no_score(labelled, label, classifier, run)
        return
    typer.echo(score.sentence, err=True)
    for row in records(confused_pairs(score.confusion).head(5)):
        line = f"  {row['n']:,} x {row['label']} taken for {row['predicted']}"
        typer.echo(line, err=True)


def _say_no_score(labelled: Any, label: str, classifier: Any, run: Any) -> None:
    """Say why no row is scored, on standard error: which labels the table has, and
    which ones the classifier knows."""
    why = f" {labelled.learned:,} rows were learned." if labelled.learned else ""
    said = f"No row has a new text and a known label in {label!r}.{why}"
    there = sorted({name.strip() for name, _ in labelled.pairs if name.strip()})
    known = [str(name) for name in classifier.classes_]
    if there and not set(there) & set(known):
        said += f" The column has {_some(there)}; the classifier knows {_some(known)}."
        said += " Rename the labels of the table, or give another --label."
    typer.echo(said, err=True)


def _some(names: list[str], most: int = 10) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more


def generate(
    run: RunFolder,
    *,
    text: Annotated[str, typer.Option(help="The text to answer.")],
    temperature: Annotated[
        float,
        typer.Option(help="0 always takes the likeliest word; more also draws others."),
    ] = 0.0,
    top_p: Annotated[
        float,
        typer.Option(help="Draw from the likeliest words with this total probability."),
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    length: Annotated[
        int | None,
        typer.Option(help="Most tokens; as in the training if not given."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a reply to a text, word by word; its labels go to standard error.

    The run must have learned replies: train --recipe hierarchy --reply COLUMN.
    """
    with without_collection():
        from stc_core.classifiers.sampling import Decoding

        model = open_run(run).classifier()
    if "generate" not in model.abilities:
        raise StcError(
            f"generate with {run!r}",
            expected="a run that learned to reply",
            remedy="Train one with --recipe hierarchy --reply COLUMN, on a decoder.",
        )
    decoding = Decoding(temperature, top_p, seed, length)
    answer, pieces = model.tell(text, decoding)
    if as_json:
        parts = dict.fromkeys(model.parts_, "")
        for piece in pieces:
            parts[piece.part] += piece.text
        print_json({"labels": model.steps(text, answer), "parts": parts})
        return
    for step in model.steps(text, answer):
        line = f"{step['column']}: {step['label']} ({100 * step['probability']:.0f} %, "
        typer.echo(f"{line}layer {step['layer']})", err=True)
    _print_pieces(pieces, last_part=model.parts_[-1])


def _print_pieces(pieces: Iterable[Any], *, last_part: str) -> None:
    """Print the last part, which is the reply, on stdout and the others on stderr."""
    with stop_with_reader():
        for part, of_part in groupby(pieces, key=lambda piece: piece.part):
            last = part == last_part
            if not last:
                typer.echo(f"{part}: ", nl=False, err=True)
            for piece in of_part:
                typer.echo(piece.text, nl=False, err=not last)
            typer.echo(err=not last)


def label(folder: str) -> None:
    """Label the file of the order in FOLDER; the app starts this command."""
    from stc_core.runs.processes import label_jobs

    terminate_as_interrupt()
    label_jobs.do_labelling(folder)


def explain(
    run: RunFolder,
    *,
    text: Annotated[str | None, typer.Option(help="The text to explain.")] = None,
    row: Annotated[
        int | None,
        typer.Option(help="Instead: the row of the table with the text, from 1."),
    ] = None,
    final: Annotated[
        bool,
        typer.Option(
            "--final", help="With --row: by the final classifier in any case."
        ),
    ] = False,
    gradients: Annotated[
        bool,
        typer.Option("--gradients", help="Also compute integrated gradients (slower)."),
    ] = False,
    leave_out: Annotated[
        bool,
        typer.Option(
            "--leave-out",
            help="Also measure what the logit loses without each word (slower).",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Explain the label of a text: the contributions of its neurons and words.

    RUN may also be the folder of a transformers model that has a classification head.

    A row that the run has learned is explained by the classifier that predicted it:
    with up to 5,000 learned rows one that was made without it.
    """
    from stc_core.cli import console

    if (text is None) == (row is None):
        got = "neither" if row is None else "both"
        raise StcError("explain", expected="either --text or --row", got=got)
    with without_collection():
        classifier, opened = open_classifier_of(run)
    if row is not None and opened is None:
        raise StcError(
            "option --row", expected="a run, which has rows", got="a model alone"
        )
    if row is not None:
        from stc_core.analysis import row_explanation as rows

        example = rows.example_at(opened, row)
        explanation = rows.explain_row(
            opened, example, final=final, classifier=classifier
        )
        text = str(opened.corpus["text"].iloc[example])
        classifier = rows.classifier_of_fold(opened, classifier, explanation["fold"])
    else:
        assert text is not None
        explanation = classifier.explain(text)
    from stc_core.classifiers.predict_table import cut_note, is_cut

    explanation["cut"] = is_cut(classifier, text)
    if explanation["cut"]:
        most = classifier.backbone_.max_length
        typer.echo(f"info: {cut_note(1, most, of=1)}", err=True)
    if gradients:
        from stc_core.interpret.integrated_gradients import integrated_gradients

        explanation["gradients"] = integrated_gradients(classifier, text)
    if leave_out:
        from stc_core.interpret.occlusion import leave_words_out

        explanation["left_out"] = leave_words_out(classifier, text)
    if as_json:
        print_json(explanation)
    else:
        console.show_explanation(explanation, text)
        if leave_out:
            console.show_left_out(explanation["left_out"])
        if gradients:
            console.show_gradients(explanation["gradients"], text)


def report(
    run: RunFolder,
    *,
    html: Annotated[
        str | None, typer.Option(help="Write the full report to this HTML file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the result of a run: accuracy, baselines, layers and neurons.

    With --html, write its figures, tables, settings and limits to one file of about
    5 MB that opens without a network.
    """
    from stc_core.cli import console

    opened = open_run(run)
    if html is not None:
        from stc_core.display import size
        from stc_core.report.report import write_report

        n_bytes = write_report(opened, html)
        if as_json:
            print_json({"file": html, "bytes": n_bytes})
        else:
            typer.echo(f"{html}: {size(n_bytes)}", err=True)
    elif as_json:
        print_json(opened.metrics)
    else:
        console.show_result(opened)
