"""Data: load a table, name its columns, and list its problems by row."""

import pandas as pd
import streamlit as st

from stc_core.config import DEFAULT_BACKBONE, DataConfig
from stc_core.data.columns import Columns, label_columns
from stc_core.data.corpus import Corpus
from stc_core.data.split import SPLIT_ORDER
from stc_core.data.statistics import class_balance, length_histogram
from stc_core.data.uploads import (
    SAMPLE,
    Upload,
    find_upload,
    list_uploads,
    write_choice,
)
from stc_core.errors import StcError
from stc_core.figures.data import class_bars, length_bars
from ui.cache import tables
from ui.cache.run_files import SHOWN_ROWS
from ui.cache.tables import choice, corpus_of, language_of, report_of, unfit_model
from ui.charts.chart import chart
from ui.data.findings import show_findings
from ui.shell.messages import escape
from ui.shell.page_list import TRAIN
from ui.shell.tables.encoding_field import encoding_box, likely_encodings
from ui.shell.tables.upload import pick_upload, unreadable_forgotten, uploader
from ui.state.navigation import context, go, remember


def source() -> None:
    """Draw three ways to choose a table: an upload, the sample, an earlier upload."""
    kept = uploader("Upload a table", key="data")
    if kept:
        remember(data=kept.key)
        st.rerun()
    if st.button("Use the sample", icon=":material/dataset:", width="stretch"):
        remember(data=SAMPLE)
        st.rerun()
    pick_upload("data", list_uploads())


def _chosen_table() -> Upload:
    """The table of the context. Without one, or if it is gone, ask for another."""
    if context().data is None:
        source()
        st.info("Upload a table or use the sample to begin.", icon=":material/table:")
        st.stop()
    try:
        return find_upload(str(context().data))
    except StcError:
        source()
        raise


def columns_form(table: Upload, head: pd.DataFrame) -> DataConfig:
    """Draw the choice of columns; return it.

    The fields begin with the last choice, or with a guess if there is none.
    """
    names = [str(name) for name in head.columns]
    saved = choice(table.key)
    text_in, labels_in, split_in, id_in = st.columns([2, 3, 2, 2])
    none = {"format_func": lambda name: name or "none", "options": ["", *names]}
    text = text_in.selectbox(
        "Text", names, index=names.index(str(saved.text)), key=f"text_{table.key}"
    )
    labels = labels_in.multiselect(
        "Label (several: from coarse to fine)",
        names,
        default=list(saved.labels),
        key=f"labels_{table.key}",
        help="The classifier learns the last column. The others are its coarser "
        "labels, and are scored as well.",
    )
    split = split_in.selectbox(
        "Split", index=_place(names, saved.split), key=f"split_{table.key}", **none
    )
    id_column = id_in.selectbox(
        "Id", index=_place(names, saved.id), key=f"id_{table.key}", **none
    )
    chosen = Columns(str(text), tuple(labels), split or None, id_column or None)
    others = label_columns(head, chosen)
    if labels and others:
        listed = ", ".join(f"**{escape(name)}**" for name in others)
        st.caption(f"Check the label: {listed} may hold labels, too.")
    columns = {"text": text, "labels": tuple(labels), "split": split, "id": id_column}
    return saved.changed(**columns)


def _place(names: list[str], name: str | None) -> int:
    return names.index(name) + 1 if name in names else 0


def test_file(table: Upload, data: DataConfig) -> DataConfig:
    """Draw the choice of a separate test file; return `data` with the file chosen."""
    name = None if data.test_path is None else data.test_path.rsplit("/", 1)[-1]
    if name:
        st.markdown(f"Test file: **{escape(name)}**")
        if st.button("Remove the test file", icon=":material/close:"):
            write_choice(table.key, data.changed(test_path=None))
            st.rerun()
        return data
    st.caption(
        "The test file needs the same columns as the table. The accuracy is measured "
        "on the test file."
    )
    kept = uploader("Upload the test table", key="test")
    if kept:
        write_choice(table.key, data.changed(test_path=str(kept.path)))
        st.rerun()
    return data


def _verdict(corpus: Corpus) -> None:
    """Show the size of the data in four numbers, and the button to Train."""
    report, counts = corpus.report, corpus.frame["split"].value_counts()
    sizes = " / ".join(f"{counts.get(split, 0):,}" for split in SPLIT_ORDER)
    rows, used, classes, split, next_step = st.columns(
        [3, 3, 2, 5, 4], vertical_alignment="center"
    )
    rows.metric("Rows in the file", f"{report.n_rows:,}")
    used.metric("Rows used", f"{report.n_used:,}")
    classes.metric("Classes", f"{len(corpus.classes):,}")
    split.metric("Train / validation / test", sizes)
    with next_step:
        if report.errors:
            st.error("Mend the errors below first.", icon=":material/error:")
        elif st.button(
            "Continue to Train",
            type="primary",
            width="stretch",
            icon=":material/arrow_forward:",
        ):
            go(TRAIN)


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


def _label_beside_text(head: pd.DataFrame, data: DataConfig) -> pd.DataFrame:
    """The table with the columns in use first: text, labels, split, id."""
    used = [data.text, *data.labels, data.split, data.id]
    first = [name for name in used if name in head]
    return pd.DataFrame(head[list(dict.fromkeys([*first, *head]))])


def show_page() -> None:
    """Draw the page below its title."""
    table = _chosen_table()
    title, encoding_field, others, test = st.columns(
        [5, 3, 3, 3], vertical_alignment="bottom"
    )
    title.subheader(escape(table.path.name), anchor=False)
    with others.popover("Another table", icon=":material/table:", width="stretch"):
        source()
    encoding = encoding_box(table, encoding_field)
    likely_encodings(table)
    with unreadable_forgotten(table, encoding):
        head = tables.head(table.path, encoding)
    chosen = columns_form(table, head)
    # If no label could be guessed either, the check of the corpus says what is missing.
    if not chosen.labels and choice(table.key).labels:
        st.info("Choose the column that holds the labels.", icon=":material/label:")
        st.stop()
    has_test = chosen.test_path is not None
    label = "Test file: 1" if has_test else "Test file"
    with test.popover(label, icon=":material/rule:", width="stretch"):
        data = test_file(table, chosen)
    write_choice(table.key, data)
    with unreadable_forgotten(table, encoding):
        corpus = corpus_of(data)
    _verdict(corpus)
    language = st.container()  # filled last: the first look at a language takes 2 s
    show_findings(table.key, data, corpus, report_of(data))
    st.subheader("The table", anchor=False)
    shown = _label_beside_text(head.head(SHOWN_ROWS), data)
    shown.index = pd.RangeIndex(1, len(shown) + 1, name="row")
    st.dataframe(shown, height=230)
    charts(corpus)
    with language:
        show_language(data)


def show_language(data: DataConfig) -> None:
    """Say the language of the texts, and whether the default model was made for it."""
    found = language_of(data)
    if found is None:
        return
    share = f"{100 * found.share:.0f} % of {found.n:,} texts that were looked at"
    st.caption(f":material/translate: Language: **{found.name}** ({share})")
    if unfit := unfit_model(data, DEFAULT_BACKBONE):
        st.warning(escape(unfit.message), icon=":material/translate:")
