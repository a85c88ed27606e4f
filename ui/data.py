"""Data: a table in, its columns named, and what is wrong with it, by row."""

import pandas as pd
import streamlit as st

from stc_core.config import DataConfig
from stc_core.data.columns import Columns, label_columns
from stc_core.data.corpus import Corpus
from stc_core.data.findings import Finding, Report
from stc_core.data.split import SPLIT_ORDER
from stc_core.data.statistics import class_balance, length_histogram
from stc_core.data.uploads import (
    SAMPLE,
    Upload,
    find_upload,
    list_uploads,
    write_choice,
)
from stc_core.figures.data import class_bars, length_bars
from ui.cache import tables
from ui.cache.run_files import SHOWN_ROWS
from ui.cache.tables import choice, corpus_of, report_of
from ui.charts.chart import chart
from ui.shell.encoding_field import title_with_encoding
from ui.shell.messages import escape
from ui.shell.page_list import TRAIN
from ui.shell.upload import pick_upload, uploader
from ui.state.navigation import context, go, remember

SEVERITIES = {
    "error": ("red", ":material/error:"),
    "warning": ("orange", ":material/warning:"),
    "info": ("blue", ":material/info:"),
}


def source() -> None:
    """Three ways to a table: upload, sample, an earlier upload."""
    upload, others = st.columns([3, 2], gap="large")
    with upload:
        kept = uploader("Upload a table", key="data")
        if kept:
            remember(data=kept.key)
            st.rerun()
    with others, st.container(border=True):
        if st.button("Use the sample", icon=":material/dataset:", width="stretch"):
            remember(data=SAMPLE)
            st.rerun()
        pick_upload("data", list_uploads())


def columns_form(table: Upload, head: pd.DataFrame) -> DataConfig:
    """The columns as chosen, pre-filled with the last choice or the guess."""
    names = [str(name) for name in head.columns]
    held = choice(table.key)
    text_in, labels_in, split_in, id_in = st.columns([2, 3, 2, 2])
    none = {"format_func": lambda name: name or "none", "options": ["", *names]}
    text = text_in.selectbox(
        "Text", names, index=names.index(str(held.text)), key=f"text_{table.key}"
    )
    labels = labels_in.multiselect(
        "Label (several: from coarse to fine)",
        names,
        default=list(held.labels),
        key=f"labels_{table.key}",
        help="The last one is what is learned; the others are scored as its parents.",
    )
    split = split_in.selectbox(
        "Split", index=_place(names, held.split), key=f"split_{table.key}", **none
    )
    id_column = id_in.selectbox(
        "Id", index=_place(names, held.id), key=f"id_{table.key}", **none
    )
    chosen = Columns(str(text), tuple(labels), split or None, id_column or None)
    others = label_columns(head, chosen)
    if labels and others:
        said = ", ".join(f"**{escape(name)}**" for name in others)
        st.caption(f"Check the label: {said} could be one, too.")
    columns = {"text": text, "labels": tuple(labels), "split": split, "id": id_column}
    return held.changed(**columns)


def _place(names: list[str], name: str | None) -> int:
    return names.index(name) + 1 if name in names else 0


def test_file(table: Upload, data: DataConfig) -> DataConfig:
    """`data` with its separate test file, if there is one."""
    name = None if data.test_path is None else data.test_path.rsplit("/", 1)[-1]
    title = f"Test file: {name}" if name else "Separate test file (optional)"
    with st.expander(title, icon=":material/rule:"):
        if name:
            if st.button("Remove the test file", icon=":material/close:"):
                write_choice(table.key, data.changed(test_path=None))
                st.rerun()
            return data
        st.caption("Same columns as the table above. The accuracy is measured on it.")
        kept = uploader("Upload the test table", key="test")
        if kept:
            test_path = str(kept.path)
            write_choice(table.key, data.changed(test_path=test_path))
            st.rerun()
    return data


def _verdict(corpus: Corpus) -> None:
    """The size of the data in four numbers, and the way on."""
    report, counts = corpus.report, corpus.frame["split"].value_counts()
    sizes = " / ".join(f"{counts.get(split, 0):,}" for split in SPLIT_ORDER)
    rows, used, classes, split, on = st.columns(
        [3, 3, 2, 5, 4], vertical_alignment="center"
    )
    rows.metric("Rows in the file", f"{report.n_rows:,}")
    used.metric("Rows used", f"{report.n_used:,}")
    classes.metric("Classes", f"{len(corpus.classes):,}")
    split.metric("Train / validation / test", sizes)
    with on:
        if report.errors:
            st.error("Mend the errors below first.", icon=":material/error:")
        elif st.button(
            "Continue to Train",
            type="primary",
            width="stretch",
            icon=":material/arrow_forward:",
        ):
            go(TRAIN)


def findings(corpus: Corpus, report: Report) -> None:
    found = report.findings
    st.subheader(f"Report: {len(found)} finding{'s' * (len(found) != 1)}", anchor=False)
    if not found:
        st.success("Nothing to mend.", icon=":material/check_circle:")
    for severity in SEVERITIES:
        for finding in found:
            if finding.severity == severity:
                one_finding(finding, corpus)


def one_finding(finding: Finding, corpus: Corpus) -> None:
    colour, icon = SEVERITIES[finding.severity]
    with st.container(border=True, gap="xsmall"):
        st.markdown(
            f":{colour}[{icon} **{finding.severity}**]  {escape(finding.message)}"
        )
        if finding.rows:
            first = ", ".join(str(row) for row in finding.rows[:12])
            more = f" and {finding.count - 12:,} more" if finding.count > 12 else ""
            with st.expander(f"Rows {first}{more}", type="compact"):
                there = corpus.frame["row"].isin(finding.rows)
                shown = corpus.frame.loc[there].set_index("row")
                wanted = pd.Index(finding.rows, name="row")
                st.dataframe(shown.reindex(wanted)[["text", "label", "split"]])


def charts(corpus: Corpus) -> None:
    balance, lengths = st.columns(2, gap="large")
    with balance:
        st.subheader("Class balance", anchor=False)
        figure = class_bars(class_balance(corpus.frame))
        chart(figure, "class_balance", alt="Rows per class and split")
    with lengths:
        st.subheader("Text length", anchor=False)
        figure = length_bars(length_histogram(corpus.frame))
        chart(figure, "text_length", alt="How many texts have how many words")


def show_page() -> None:
    """What stands below the title."""
    source()
    if context().data is None:
        st.info("Upload a table or use the sample to begin.", icon=":material/table:")
        st.stop()
    table = find_upload(str(context().data))
    encoding = title_with_encoding(table)
    head = tables.head(table.path, encoding)
    shown = head.head(SHOWN_ROWS)
    shown.index = pd.RangeIndex(1, len(shown) + 1, name="row")
    st.dataframe(shown, height=230)
    chosen = columns_form(table, head)
    # Where none could be guessed, the check below says what is missing.
    if not chosen.labels and choice(table.key).labels:
        st.info("Choose the column that holds the labels.", icon=":material/label:")
        st.stop()
    data = test_file(table, chosen)
    write_choice(table.key, data)
    corpus = corpus_of(data)
    _verdict(corpus)
    findings(corpus, report_of(data))
    charts(corpus)
