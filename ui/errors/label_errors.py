"""Rows whose label is in doubt, and the way from a text to why it got its label."""

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from stc_core.display import count
from stc_core.errors import StcError
from stc_core.figures.token_heatmap import coloured
from stc_core.runs.run import Run
from ui.cache.run_files import mislabelled
from ui.cache.texts import texts_of
from ui.shell.messages import show_error
from ui.shell.page_list import EXAMPLES
from ui.shell.widgets import PIN, place_columns
from ui.state.clicks import click_place
from ui.state.navigation import clicked, context, link

JUDGED = (
    "Each text is judged by heads that were fitted without it, on "
    "this run's neurons; confident learning (cleanlab) then finds those that are "
    "confidently of another class. The neurons were chosen with these labels, so a few "
    "wrong ones may be missed. A suggestion is no proof: read the text."
)
TUNED = (
    " The language model of this run was tuned on the labels, wrong ones too, so "
    "that some of those in train look right by now."
)


def picked_text(run: Run, rows: list[int]) -> DeltaGenerator:
    """The text that was picked, if it is one of these, and the way to why it got its
    label, in a row that has room for more.

    A table shows no more than the beginning of a text.
    """
    held = context().example
    if held in rows:
        st.html(coloured(texts_of(run).texts[held], (), palette="diverging"))
    row = st.container(horizontal=True, vertical_alignment="center")
    if held in rows:
        icon = ":material/psychology:"
        with row:
            link(EXAMPLES, f"Why {texts_of(run).place(held)}?", icon=icon, example=held)
    return row


def mislabelled_rows(run: Run) -> None:
    """Rows whose label is likely wrong, when they are asked for."""
    st.markdown("#### Likely mislabelled")
    key = f"_mislabelled_{run.folder.name}"
    if not run.has("activations.npy"):
        recipe = run.config.train.recipe
        st.info(
            f"Runs of the recipe {recipe} keep no neurons to judge labels by. Train "
            "with the recipe stc on the same table to see them.",
            icon=":material/info:",
        )
        return
    if not st.session_state.get(key):
        st.caption("Which rows of the table may carry a wrong label, in any split.")
        st.button(
            "Look for wrong labels",
            icon=":material/fact_check:",
            on_click=st.session_state.update,
            args=({key: True},),
        )
        return
    try:
        found = mislabelled(run)
    except StcError as error:
        show_error(error)
        return
    if found.empty:
        st.success("No label looks wrong.", icon=":material/check:")
        return
    _suspects(run, found)


def _suspects(run: Run, found: pd.DataFrame) -> None:
    pairs = zip(found["example"], found["split"], strict=True)
    places = [{"example": int(row), "split": str(name)} for row, name in pairs]
    where = place_columns(run)
    st.dataframe(
        found,
        key="suspect_table",
        on_select=clicked("suspect_table", lambda c, e: click_place(c, e, places)),
        selection_mode="single-row",
        hide_index=True,
        height=300,
        column_order=[*where, "text", "label", "suggested", "score", "split"],
        column_config={
            **where,
            "text": st.column_config.TextColumn("Text", width=330),
            "label": st.column_config.TextColumn("Label", width=120, **PIN),
            "suggested": st.column_config.TextColumn("Suggested", width=110, **PIN),
            "score": st.column_config.NumberColumn(
                "Score", format="%.3f", width=65, help="0: as wrong as can be.", **PIN
            ),
            "split": st.column_config.TextColumn("Split", width=80, **PIN),
        },
        alt="Rows that are likely mislabelled",
    )
    with picked_text(run, found["example"].tolist()):
        st.download_button(
            "Download as CSV",
            found.to_csv(index=False),
            file_name=f"{run.folder.name}-labels.csv",
            mime="text/csv",
            on_click="ignore",
            icon=":material/download:",
        )
    tuned = TUNED if run.config.train.recipe != "stc" else ""
    said = f"{count(len(found), 'text')}, the likeliest first. {JUDGED}"
    st.caption(said + tuned)
