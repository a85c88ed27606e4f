"""Predict: labels for a table or for pasted lines, with a trained classifier."""

from pathlib import Path

import pandas as pd
import streamlit as st

from stc_core.classifiers.predict_table import LABEL_COLUMN, annotated
from stc_core.data.checks import check_source
from stc_core.data.columns import guess_columns
from stc_core.data.uploads import Upload, find_upload, list_uploads, predictions_path
from stc_core.display import duration
from stc_core.figures.data import class_bars
from stc_core.runs import label_jobs
from stc_core.runs.label_jobs import LabelOrder
from stc_core.runs.run import Run
from stc_core.runs.status import BUSY, Status
from ui.cache import tables
from ui.cache.run_files import classifier, predictions_in, stamp
from ui.charts.chart import chart
from ui.shell.encoding_field import encoding_box, likely_encodings
from ui.shell.frame import pick_run
from ui.shell.messages import escape
from ui.shell.upload import pick_upload, uploader
from ui.shell.widgets import PERCENT, in_percent
from ui.state.navigation import context, remember

TABLE, LINES = "A table", "Pasted lines"
MAX_LINES = 1000
ICON = ":material/table:"


def lines(run: Run) -> None:
    """Each line that is typed or pasted is a text."""
    with st.form("lines", border=False):
        pasted = st.text_area(
            "One text a line",
            height=170,
            placeholder="My parcel has not arrived\nHow do I change my password?",
            key="pasted",
        )
        st.form_submit_button("Predict", type="primary", icon=":material/play_arrow:")
    texts = [line.strip() for line in pasted.splitlines() if line.strip()]
    if not texts:
        return
    if len(texts) > MAX_LINES:
        st.warning(f"Only the first {MAX_LINES:,} lines were read: upload a file.")
    frame = pd.DataFrame({"text": texts[:MAX_LINES]})
    found = annotated(classifier(run), frame, text="text")
    _download(found.to_csv(index=False).encode(), "predictions.csv")
    _show(found, found[LABEL_COLUMN].value_counts(), "text")


def _table(run: Run) -> None:
    """A whole file, by a process of its own; what was predicted stays on disk."""
    chosen = _choose()
    if chosen is None:
        st.info("Upload the texts to label, or paste them as lines.", icon=ICON)
        return
    row = st.container(horizontal=True, vertical_alignment="bottom")
    encoding = encoding_box(chosen, row, guessed_only=True)
    head = tables.head(chosen.path, encoding)
    names = [str(name) for name in head.columns]
    trained = str(run.config.data.text)
    first = trained if trained in names else guess_columns(head).text
    text = row.selectbox(
        "Text column", names, index=names.index(first), key=f"text_{chosen.key}"
    )
    likely_encodings(chosen)
    out = predictions_path(chosen, run.folder.name, text, encoding)
    status = label_jobs.status_of(out)
    state = status["state"] if status else None
    if state in BUSY:
        _watch(out)
        return
    if st.button("Predict", type="primary", icon=":material/play_arrow:", key="go"):
        place = str(out.resolve())
        label_jobs.start_labelling(
            LabelOrder(str(run.folder), str(chosen.path), text, place, encoding)
        )
        st.rerun()
    fresh = stamp(out) > stamp(run.folder / "metrics.json")
    done = status is not None and state == "done" and fresh
    how_read((label_jobs.notes_of(out) if done else []) or notes_on(head))
    if status is not None and done:
        preview, counts = predictions_in(out)
        _download(out, f"{chosen.path.name.split('.')[0]}_predicted.csv")
        _show(preview, counts, text, n_rows=status["total"])
        return
    if status is not None and state != "done":
        _unfinished(status)
    first = head[:100]
    first.index = pd.RangeIndex(1, len(first) + 1, name="row")
    st.dataframe(first, height=230)


def notes_on(head: pd.DataFrame) -> list[str]:
    """What is known of how a table is read before all of it was."""
    found = check_source(head.attrs["source"], file="data")
    return [f"{one.severity}: {one.message}" for one in found]


def how_read(notes: list[str]) -> None:
    """Warnings and hints on how the table was read, as the command line has them."""
    for note in notes:
        severity, _, said = note.partition(": ")
        if severity == "warning":
            st.warning(escape(said), icon=":material/warning:")
        else:
            st.caption(f":material/info: {escape(said)}")


def _choose() -> Upload | None:
    """The table to label: uploaded now or earlier."""
    upload, earlier = st.columns([3, 2], gap="large", vertical_alignment="bottom")
    with upload:
        kept = uploader("Upload a table", key="predict")
        if kept:
            remember(table=kept.key)
            st.rerun()
    with earlier:
        pick_upload("table", list_uploads())
    held = context().table
    return None if held is None else find_upload(held)


@st.fragment(run_every=1.0)
def _watch(out: Path) -> None:
    """How far the labelling is; polls while it goes on, then hands over to the page."""
    status = label_jobs.status_of(out)
    if status is None or status["state"] not in BUSY:
        st.rerun()
        return
    done, total = status["done"], status["total"]
    said = status["message"] or "Waiting for the worker"
    if done:
        said = f"{done:,} of {total:,} rows · {status['rate'] or 0:,.0f} a second"
        said += f" · {duration(status['eta_s'] or 0)} left"
    with st.container(border=True):
        st.progress(min(done / total, 1.0) if total else 0.0, text=said)
        if st.button("Cancel", icon=":material/stop_circle:", key="stop"):
            label_jobs.cancel_labelling(out)
            st.rerun()
    st.caption("You can close this tab: the work goes on in its own process.")


def _unfinished(status: Status) -> None:
    """Why there are no labels."""
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
    """The first rows, label and text in front, and how often each label was given.

    Of `n_rows` those that got none are told of.
    """
    n_blank = 0 if n_rows is None else n_rows - int(counts.sum())
    if n_blank:
        rows = "1 row has" if n_blank == 1 else f"{n_blank:,} rows have"
        st.caption(f":material/info: {rows} no text, and so no label.")
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
    found = counts.rename_axis("label").rename("rows").reset_index()
    figure = class_bars(found.assign(split="predicted"))
    chart(figure, "predicted", alt="Rows per predicted label")


def _download(data: bytes | Path, name: str) -> None:
    st.download_button(
        "Download CSV",
        data if isinstance(data, bytes) else data.read_bytes,
        file_name=name,
        mime="text/csv",
        on_click="ignore",
        type="primary",
        icon=":material/download:",
    )


def show_page() -> None:
    """What stands below the title."""
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
