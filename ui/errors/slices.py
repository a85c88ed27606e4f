"""Parts of the rows, and how much worse the classifier is on each."""

import streamlit as st

from stc_core.runs.run import Run
from ui.cache.run_files import facets, slice_table
from ui.errors.confusions import between
from ui.shell.messages import escape
from ui.shell.widgets import PERCENT, in_percent
from ui.state.clicks import click_place
from ui.state.navigation import clicked

SLICES = (
    "Click a row to look at its texts. Slices that are worse for sure come first: by "
    "the upper end of the interval (Wilson, 95 %). Of 20 slices that are no different "
    "one leaves the overall accuracy out of its interval by luck."
)
WHOLE = (
    ":material/info: Slices are of all texts of the split, whatever is chosen above."
)


def slices(run: Run, split: str) -> None:
    scores = slice_table(run, split)
    scores["interval"] = between(scores, "low", "high")
    places = [{"slice": text} for text in scores["slice"]]
    st.dataframe(
        in_percent(scores, "accuracy", "from_rest"),
        key="slice_table",
        on_select=clicked("slice_table", lambda c, e: click_place(c, e, places)),
        selection_mode="single-row",
        hide_index=True,
        height=370,
        column_order=["by", "value", "n", "accuracy", "interval", "from_rest"],
        column_config={
            "by": st.column_config.TextColumn("By", width=110),
            "value": st.column_config.TextColumn("Value"),
            "n": st.column_config.NumberColumn("Texts", width=70),
            "accuracy": st.column_config.ProgressColumn(
                "Accuracy", format=PERCENT, max_value=100.0
            ),
            "interval": st.column_config.TextColumn("95 %", width=100),
            "from_rest": st.column_config.NumberColumn(
                "Against the rest",
                format="%+.1f",
                help="In points: minus the accuracy of all others.",
            ),
        },
        alt="Accuracy of each slice with its 95 % interval",
    )
    st.caption(f"{SLICES} Lengths are in words.")
    note = facets(run).note
    if note:
        st.caption(f":material/info: {escape(note)}")
