"""Which words speak for a class over the whole test set, and which mislead to it."""

import pandas as pd
import streamlit as st

from stc_core.display import count
from stc_core.runs.run import Run
from ui.cache.predictions import is_predicted, words_of_class
from ui.shell.downloads import csv_button
from ui.shell.messages import escape
from ui.state.navigation import context, pick

MOST = 50
HOW = (
    "For each test text that is predicted as the class, the three words that add most "
    "to its logit. A word stands first if it is among them in the most texts."
)
_COLUMNS = {
    "word": st.column_config.TextColumn("Word", width="small"),
    "texts": st.column_config.NumberColumn("Texts", width="small"),
    "mean": st.column_config.NumberColumn(
        "Adds",
        format="%+.2f",
        width="small",
        help="What the word adds to the logit of the class, on average.",
    ),
    "text": st.column_config.TextColumn("Where it adds most", width="large"),
}


def show_class_words(run: Run) -> None:
    """Draw the two tables of words for a class of the run, and their CSV."""
    classes = is_predicted(run)
    held = context().label
    choice, load = st.columns([3, 1], vertical_alignment="bottom")
    with choice:
        label = pick(
            "label",
            "Class",
            classes,
            default=held if held in classes else classes[0],
            width=360,
        )
    found = words_of_class(run, label)
    with load:
        csv_button(found.joined(), f"words_{label}.csv", key="words")
    n_read = found.n_right + found.n_wrong
    if n_read < found.n_all:
        st.caption(
            f":material/info: {n_read:,} of {found.n_all:,} texts were read, evenly "
            "spread over all."
        )
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown(f"**Words that raise it** · {count(found.n_right, 'right text')}")
        _table(found.raising, f"No test text is rightly predicted as {label}.")
    with right:
        st.markdown(f"**Words that mislead** · {count(found.n_wrong, 'wrong text')}")
        _table(found.misleading, f"No test text is wrongly predicted as {label}.")
    st.caption(HOW)


def _table(words: pd.DataFrame, without: str) -> None:
    if not len(words):
        st.info(escape(without), icon=":material/info:")
        return
    st.dataframe(
        words.head(MOST),
        column_order=list(_COLUMNS),
        column_config=_COLUMNS,
        hide_index=True,
        height=38 + 35 * min(11, len(words)),
        alt="Words with the number of texts in which they count",
    )
