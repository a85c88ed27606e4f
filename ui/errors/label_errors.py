"""Rows whose label may be wrong, and the link from a text to its explanation."""

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from stc_core.display import count
from stc_core.errors import StcError
from stc_core.figures.token_heatmap import coloured
from stc_core.recipe_table import RECIPES
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from ui.cache.run_files import mislabelled_texts
from ui.cache.texts import texts_of
from ui.shell.downloads import csv_button
from ui.shell.messages import show_error
from ui.shell.page_list import EXAMPLES
from ui.shell.widgets import PIN, place_columns
from ui.state.clicks import click_place
from ui.state.navigation import clicked, context, link

JUDGED = (
    "Each text is judged by a classifier made without it. Confident learning "
    "(cleanlab) then finds the texts that clearly belong to another class. The "
    "neurons were chosen with these labels, so a few wrong labels may be missed. A "
    "suggestion is no proof: read the text."
)
TUNED = (
    " The language model of this run was tuned on the labels, including the wrong "
    "ones, so some wrong labels in the training texts may now look right."
)


def picked_text(run: Run, rows: list[int]) -> DeltaGenerator:
    """Show the picked text in full, with a link to its explanation, if it is in `rows`.

    Returns the row of the link, which has room for more. The table itself shows only
    the beginning of a text.
    """
    example = context().example
    if example in rows:
        st.html(coloured(texts_of(run).texts[example], (), palette="diverging"))
    row = st.container(horizontal=True, vertical_alignment="center")
    if example in rows:
        label = f"Why {texts_of(run).place(example)}?"
        with row:
            link(EXAMPLES, label, icon=":material/psychology:", example=example)
    return row


def mislabelled_rows(run: Run) -> None:
    """Show the rows whose label is likely wrong, once the user asks for them."""
    st.markdown("#### Likely mislabelled")
    key = f"_mislabelled_{run.folder.name}"
    if not run.has(RunFile.ACTIVATIONS):
        recipe = run.config.train.recipe
        st.info(
            f"Runs of the recipe {recipe} keep no neurons, so their labels cannot be "
            "checked. Train with the recipe stc on the same table to check them.",
            icon=":material/info:",
        )
        return
    if not st.session_state.get(key):
        st.caption("Finds the rows of the table that may have a wrong label.")
        st.button(
            "Look for wrong labels",
            icon=":material/fact_check:",
            on_click=st.session_state.update,
            args=({key: True},),
        )
        return
    try:
        suspects = mislabelled_texts(run)
    except StcError as error:
        show_error(error)
        return
    if suspects.empty:
        st.success("No label looks wrong.", icon=":material/check:")
        return
    _suspects(run, suspects)


def _suspects(run: Run, suspects: pd.DataFrame) -> None:
    pairs = zip(suspects["example"], suspects["split"], strict=True)
    places = [{"example": int(row), "split": str(name)} for row, name in pairs]
    where = place_columns(run)
    st.dataframe(
        suspects,
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
                "Score", format="%.3f", width=65, help="0: most likely wrong.", **PIN
            ),
            "split": st.column_config.TextColumn("Split", width=80, **PIN),
        },
        alt="Rows that are likely mislabelled",
    )
    with picked_text(run, suspects["example"].tolist()):
        csv_button(suspects, f"{run.folder.name}-labels.csv", key="labels")
    tuned = TUNED if RECIPES[run.config.train.recipe].tunes_model else ""
    st.caption(f"{count(len(suspects), 'text')}, the likeliest first. {JUDGED}{tuned}")
