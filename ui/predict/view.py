"""Predict: a table or pasted lines, labelled with a trained classifier."""

from pathlib import Path

import pandas as pd
import streamlit as st

from stc_core.classifiers.labelling.text_labels import (
    LABEL_COLUMN,
    PROBABILITY_COLUMN,
    annotate,
)
from stc_core.classifiers.predict_table import DECIMALS
from stc_core.data.checks import check_source
from stc_core.data.columns import guess_columns
from stc_core.data.uploads import Upload, find_upload, list_uploads, predictions_path
from stc_core.display import duration
from stc_core.figures.data import class_bars
from stc_core.runs.layout import RunFile
from stc_core.runs.processes import label_jobs
from stc_core.runs.processes.label_jobs import LabelOrder
from stc_core.runs.run import Run
from stc_core.runs.status import BUSY, Status
from ui.cache import tables
from ui.cache.predictions import file_score, predictions_in
from ui.cache.run_files import classifier, stamp
from ui.charts.chart import chart
from ui.predict.class_words import show_class_words
from ui.predict.results import show_results
from ui.predict.score import show_score
from ui.shell.downloads import KEEP, KEEP_HELP, csv_button, save_csv
from ui.shell.frame import pick_run
from ui.shell.job_progress import show_progress, watch
from ui.shell.messages import escape
from ui.shell.tables.encoding_field import encoding_box, likely_encodings
from ui.shell.tables.upload import pick_upload, uploader
from ui.state.navigation import context, remember

TABLE, LINES, WORDS = "A table", "Pasted lines", "Words of a class"
LEAST_SURE = "Least sure first"
MAX_LINES = 1000
ICON = ":material/table:"


def lines(run: Run) -> None:
    """Label texts that the user types or pastes, one text on each line."""
    with st.form("lines", border=False):
        pasted = st.text_area(
            "One text per line",
            height=170,
            placeholder="My parcel has not arrived\nHow do I change my password?",
            key="pasted",
        )
        st.form_submit_button("Predict", type="primary", icon=":material/play_arrow:")
    texts = [line.strip() for line in pasted.splitlines() if line.strip()]
    if not texts:
        return
    if len(texts) > MAX_LINES:
        st.warning(
            f"Only the first {MAX_LINES:,} lines were read. For more, upload a file."
        )
    frame = pd.DataFrame({"text": texts[:MAX_LINES]})
    labelled = annotate(classifier(run), frame, text="text")
    labelled.index = pd.RangeIndex(1, len(labelled) + 1, name="row")
    with st.container(horizontal=True, vertical_alignment="center"):
        csv_button(labelled.round(DECIMALS), "predictions.csv", key="lines")
        by_doubt = st.toggle(LEAST_SURE, key="by_doubt")
    if by_doubt:
        labelled = labelled.sort_values(PROBABILITY_COLUMN, kind="stable")
    show_results(run, labelled, "text")
    _show_counts(labelled[LABEL_COLUMN].value_counts())


def _table(run: Run) -> None:
    """Label a whole table in a process of its own; the result stays on disk."""
    chosen = _choose()
    if chosen is None:
        st.info("Upload the texts to label, or paste them as lines.", icon=ICON)
        return
    head, text, label, encoding = _choose_columns(run, chosen)
    out = predictions_path(chosen, run.folder.name, text, encoding)
    status = label_jobs.status_of(out)
    state = status["state"] if status else None
    if state in BUSY:
        watch(
            lambda: label_jobs.status_of(out),
            lambda now: show_progress(
                now, _doing(now), cancel=lambda: label_jobs.cancel_labelling(out)
            ),
        )
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        go = st.button(
            "Predict", type="primary", icon=":material/play_arrow:", key="go"
        )
        keep = st.toggle(KEEP, help=KEEP_HELP, key="keep_formulas")
    if go:
        out_path = str(out.resolve())
        files = (str(run.folder), str(chosen.path))
        label_jobs.start_labelling(LabelOrder(*files, text, out_path, encoding, keep))
        st.rerun()
    fresh = stamp(out) > stamp(run.folder / RunFile.METRICS)
    done = status is not None and state == "done" and fresh
    show_notes((label_jobs.notes_of(out) if done else []) or source_notes(head))
    if status is not None and done:
        _finished(run, chosen, out, text, label, n_rows=status["total"])
        return
    if status is not None and state != "done":
        _unfinished(status)
    preview = head[:100]
    preview.index = pd.RangeIndex(1, len(preview) + 1, name="row")
    st.dataframe(preview, height=230)


def _choose_columns(
    run: Run, table: Upload
) -> tuple[pd.DataFrame, str, str | None, str | None]:
    """The first rows of `table`, the columns of texts and labels, and the encoding.

    The label column is the trained one if the table has it. It may also be none.
    """
    row = st.container(horizontal=True, vertical_alignment="bottom")
    encoding = encoding_box(table, row, guessed_only=True)
    head = tables.head(table.path, encoding)
    names = [str(name) for name in head.columns]
    trained = str(run.config.data.text)
    default = trained if trained in names else guess_columns(head).text
    text = row.selectbox(
        "Text column", names, index=names.index(default), key=f"text_{table.key}"
    )
    known = run.report.columns.labels if run.has(RunFile.REPORT) else ()
    label = row.selectbox(
        "Label column",
        ["", *names],
        index=names.index(known[-1]) + 1 if known and known[-1] in names else 0,
        format_func=lambda name: name or "none",
        help="If the table has the right labels, the predictions are scored by them.",
        key=f"label_{table.key}",
    )
    likely_encodings(table)
    return head, text, label if label and label != text else None, encoding


def _finished(
    run: Run, table: Upload, out: Path, text: str, label: str | None, *, n_rows: int
) -> None:
    """Show the score if there are labels, some rows, and how often each label is."""
    if label is not None:
        show_score(file_score(run, out, text, label), label)
    with st.container(horizontal=True, vertical_alignment="center"):
        file_name = f"{table.path.name.split('.')[0]}_predicted.csv"
        save_csv(out.read_bytes, file_name, key="save")
        by_doubt = st.toggle(LEAST_SURE, key="by_doubt")
    preview, counts = predictions_in(out, by_doubt=by_doubt)
    if n_rows > len(preview):
        which = "least sure" if by_doubt else "first"
        st.caption(f"The {which} {len(preview):,} of {n_rows:,} rows.")
    n_blank = n_rows - int(counts.sum())
    if n_blank:
        rows = "1 row has" if n_blank == 1 else f"{n_blank:,} rows have"
        st.caption(f":material/info: {rows} no text, so there is no label.")
    show_results(run, preview, text, label=label)
    _show_counts(counts)


def source_notes(head: pd.DataFrame) -> list[str]:
    """Notes on how a table is read, as far as its first rows `head` tell."""
    findings = check_source(head.attrs["source"], file="data")
    return [f"{finding.severity}: {finding.message}" for finding in findings]


def show_notes(notes: list[str]) -> None:
    """Show warnings and hints on how the table was read.

    The command line prints the same notes.
    """
    for note in notes:
        severity, _, message = note.partition(": ")
        if severity == "warning":
            st.warning(escape(message), icon=":material/warning:")
        else:
            st.caption(f":material/info: {escape(message)}")


def _choose() -> Upload | None:
    """The table to label, uploaded now or earlier; None if none is chosen."""
    upload, earlier = st.columns([3, 2], gap="large", vertical_alignment="bottom")
    with upload:
        kept = uploader("Upload a table", key="predict")
        if kept:
            remember(table=kept.key)
            st.rerun()
    with earlier:
        pick_upload("table", list_uploads())
    key = context().table
    return None if key is None else find_upload(key)


def _doing(status: Status) -> str:
    """One line: how many rows are labelled, how fast, and the time left."""
    if not status["done"]:
        return "Starting"
    rows = f"{status['done']:,} of {status['total']:,} rows"
    rate, left = status["rate"] or 0, duration(status["eta_s"] or 0)
    return f"{rows} · {rate:,.0f} per second · {left} left"


def _unfinished(status: Status) -> None:
    """Show why the labelling ended without labels."""
    error = status["error"]
    if error is None:
        st.warning("The labelling was cancelled.", icon=":material/cancel:")
        return
    st.error(escape(error["message"]), icon=":material/error:")
    if error["traceback"]:
        with st.expander("Traceback", icon=":material/bug_report:"):
            st.code(error["traceback"], language=None)


def _show_counts(counts: pd.Series) -> None:
    """Draw how many rows got each label."""
    st.subheader("Predicted labels", anchor=False)
    frequencies = counts.rename_axis("label").rename("rows").reset_index()
    figure = class_bars(frequencies.assign(split="predicted"))
    chart(figure, "predicted", alt="Rows per predicted label")


def show_page() -> None:
    """Draw the page below its title."""
    run = pick_run()
    way = st.segmented_control(
        "What to label",
        (TABLE, LINES, WORDS),
        default=TABLE,
        required=True,
        key="way",
        label_visibility="collapsed",
    )
    draw = {TABLE: _table, LINES: lines, WORDS: show_class_words}[way]
    draw(run)
