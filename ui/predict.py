"""Predict: label a table or pasted lines with a trained classifier."""

import pandas as pd
import streamlit as st

from stc_core.classifiers.predict_table import LABEL_COLUMN, annotate
from stc_core.data.checks import check_source
from stc_core.data.columns import guess_columns
from stc_core.data.uploads import Upload, find_upload, list_uploads, predictions_path
from stc_core.display import duration
from stc_core.figures.data import class_bars
from stc_core.runs import label_jobs
from stc_core.runs.label_jobs import LabelOrder
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from stc_core.runs.status import BUSY, Status
from ui.cache import tables
from ui.cache.run_files import classifier, predictions_in, stamp
from ui.charts.chart import chart
from ui.shell.csv_button import KEEP, KEEP_HELP, csv_button, save_csv
from ui.shell.encoding_field import encoding_box, likely_encodings
from ui.shell.frame import pick_run
from ui.shell.job_progress import show_progress, watch
from ui.shell.messages import escape
from ui.shell.upload import pick_upload, uploader
from ui.shell.widgets import PERCENT, in_percent
from ui.state.navigation import context, remember

TABLE, LINES = "A table", "Pasted lines"
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
    csv_button(labelled, "predictions.csv", key="lines")
    _show(labelled, labelled[LABEL_COLUMN].value_counts(), "text")


def _table(run: Run) -> None:
    """Label a whole table in a process of its own; the result stays on disk."""
    chosen = _choose()
    if chosen is None:
        st.info("Upload the texts to label, or paste them as lines.", icon=ICON)
        return
    head, text, encoding = _choose_column(run, chosen)
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
        preview, counts = predictions_in(out)
        file_name = f"{chosen.path.name.split('.')[0]}_predicted.csv"
        save_csv(out.read_bytes, file_name, key="save")
        _show(preview, counts, text, n_rows=status["total"])
        return
    if status is not None and state != "done":
        _unfinished(status)
    preview = head[:100]
    preview.index = pd.RangeIndex(1, len(preview) + 1, name="row")
    st.dataframe(preview, height=230)


def _choose_column(run: Run, table: Upload) -> tuple[pd.DataFrame, str, str | None]:
    """The first rows of `table`, the chosen text column, and the chosen encoding."""
    row = st.container(horizontal=True, vertical_alignment="bottom")
    encoding = encoding_box(table, row, guessed_only=True)
    head = tables.head(table.path, encoding)
    names = [str(name) for name in head.columns]
    trained = str(run.config.data.text)
    default = trained if trained in names else guess_columns(head).text
    text = row.selectbox(
        "Text column", names, index=names.index(default), key=f"text_{table.key}"
    )
    likely_encodings(table)
    return head, text, encoding


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


def _show(
    preview: pd.DataFrame, counts: pd.Series, text: str, *, n_rows: int | None = None
) -> None:
    """Show the first rows, label and text first, and how often each label occurs.

    With `n_rows`, a caption says how many of these rows got no label.
    """
    n_blank = 0 if n_rows is None else n_rows - int(counts.sum())
    if n_blank:
        rows = "1 row has" if n_blank == 1 else f"{n_blank:,} rows have"
        st.caption(f":material/info: {rows} no text, so there is no label.")
    label = [str(name) for name in preview if str(name).startswith(LABEL_COLUMN)][-1]
    shares = [str(name) for name in preview if str(name).startswith("p:")]
    percent = st.column_config.NumberColumn(format=PERCENT)
    preview.index = pd.RangeIndex(1, len(preview) + 1, name="row")
    st.dataframe(
        in_percent(preview, *shares),
        column_order=list(dict.fromkeys([label, text, *shares, *preview.columns])),
        column_config={text: st.column_config.TextColumn(width="large")}
        | dict.fromkeys(shares, percent),
    )
    st.subheader("Predicted labels", anchor=False)
    frequencies = counts.rename_axis("label").rename("rows").reset_index()
    figure = class_bars(frequencies.assign(split="predicted"))
    chart(figure, "predicted", alt="Rows per predicted label")


def show_page() -> None:
    """Draw the page below its title."""
    run = pick_run()
    way = st.segmented_control(
        "What to label",
        (TABLE, LINES),
        default=TABLE,
        required=True,
        key="way",
        label_visibility="collapsed",
    )
    if way == TABLE:
        _table(run)
    else:
        lines(run)
