"""The list of suggested language models; a click on a row chooses one."""

import pandas as pd
import streamlit as st

from stc_core.backbone.loading.suggestions import SUGGESTED, is_here, reading_factor
from stc_core.display import size

_KEY = "suggested_models"
HOW_TO_CHOOSE = (
    "Click a row to choose a model. *Reading*: how many times as long it takes to read "
    "a text as the first model takes. Below, the page tells the time of the whole run "
    "once the model is on this machine."
)


def suggestions(chosen: str) -> None:
    """Draw the button that opens the list, and beside it what `chosen` is good for."""
    row = st.container(horizontal=True, vertical_alignment="center")
    with row.popover("Which model?", icon=":material/lightbulb:", type="tertiary"):
        st.caption(HOW_TO_CHOOSE)
        st.dataframe(
            suggestion_table(),
            hide_index=True,
            key=_KEY,
            on_select=_choose,
            selection_mode="single-row",
            alt="Suggested language models",
        )
    for model in SUGGESTED:
        if model.name == chosen:
            row.caption(f"{model.languages}: {model.good_for}.")


def suggestion_table() -> pd.DataFrame:
    """A row for each suggested model, in words for people."""
    return pd.DataFrame(
        {
            "Model": [model.name.rpartition("/")[2] for model in SUGGESTED],
            "Languages": [model.languages for model in SUGGESTED],
            "Reading": [f"{reading_factor(model):.0f} ×" for model in SUGGESTED],
            "Layers": [model.layers for model in SUGGESTED],
            "On this machine": [
                "yes" if is_here(model) else f"no: {size(model.download_bytes)}"
                for model in SUGGESTED
            ],
        }
    )


def _choose() -> None:
    """Choose the model of the row that was clicked."""
    rows = st.session_state[_KEY]["selection"]["rows"]
    if rows:
        st.session_state["backbone"] = SUGGESTED[rows[0]].name
