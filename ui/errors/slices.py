"""The slices of the page Errors: groups of texts and the accuracy on each."""

import streamlit as st

from stc_core.runs.run import Run
from ui.cache.run_files import facets, slice_table
from ui.errors.confusions import interval_texts
from ui.shell.messages import escape
from ui.shell.widgets import PERCENT, in_percent
from ui.state.clicks import click_place
from ui.state.navigation import clicked

SLICES = (
    "Click a row to see its texts. The surest problems come first: slices are sorted "
    "by the upper end of their 95 % interval. About 1 "
    "slice in 20 looks different by luck alone."
)


def show_slices(run: Run, split: str) -> None:
    """Show the accuracy of each slice of one split; a click shows its texts."""
    scores = slice_table(run, split)
    scores["interval"] = interval_texts(scores, "low", "high")
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
            "by": st.column_config.TextColumn("By", width=80),
            "value": st.column_config.TextColumn("Value"),
            "n": st.column_config.NumberColumn("Texts", width=50),
            "accuracy": st.column_config.ProgressColumn(
                "Accuracy", format=PERCENT, max_value=100.0
            ),
            "interval": st.column_config.TextColumn("95 %", width=62),
            "from_rest": st.column_config.NumberColumn(
                "Against the rest",
                format="%+.1f",
                help="Accuracy minus that of all other texts, in points.",
            ),
        },
        alt="Accuracy of each slice with its 95 % interval",
    )
    st.caption(f"{SLICES} Lengths are in words.")
    note = facets(run).note
    if note:
        st.caption(f":material/info: {escape(note)}")
