"""The page Errors, below its title."""

import streamlit as st

from stc_core.runs.run import Run
from ui.cache.run_files import examples, read, slice_mask
from ui.errors.confusions import choose_rows, show_confusions, show_scores, show_texts
from ui.errors.faithful import show_faithfulness
from ui.errors.label_errors import mislabelled_rows
from ui.errors.slices import show_slices
from ui.errors.trust import show_trust
from ui.shell.frame import pick_run
from ui.shell.slice_picker import held_slice
from ui.state.navigation import tabs

_TABS = {
    "confusions": "Confusions",
    "slices": "Slices",
    "confidence": "Confidence",
    "labels": "Wrong labels",
    "explanations": "Explanations",
}
_FIELDS = {"confusions": ("label", "predicted", "words"), "confidence": ("words",)}
"""The filters that apply to what a tab shows."""


def show_page() -> None:
    """Draw the page below its title."""
    run = pick_run(texts=True)
    tab, container = tabs("errors", _TABS)
    with container:
        if tab == "labels":
            mislabelled_rows(run)
        elif tab == "explanations":
            show_faithfulness(run)
        else:
            _about_predictions(run, tab)


def _about_predictions(run: Run, tab: str) -> None:
    """Draw the filters that apply to the open tab, the scores, and the tab itself."""
    table, classes = examples(run), read(run, "metrics")["classes"]
    split = choose_rows(table, classes, _FIELDS.get(tab, ()))
    current = held_slice()
    of_split = (table["split"] == split).to_numpy()
    shares = read(run, "predictions").filter(like="p:").to_numpy(float)
    base = of_split & slice_mask(run, current.of_texts)
    full = base & slice_mask(run, current)
    if tab == "confidence":
        if base.any():
            show_scores(run, table.loc[base], shares[base], split, current.of_texts)
            show_trust(run, table.loc[base], shares[base])
        return
    show_scores(run, table.loc[full], shares[full], split, current)
    if tab == "confusions" and base.any():
        show_confusions(run, table.loc[base], table.loc[full], split, classes)
    elif tab == "confusions":
        show_texts(run, table.loc[full], split)
    else:
        left, right = st.columns([5, 4], gap="medium")
        with left:
            show_slices(run, split)
        with right:
            show_texts(run, table.loc[full], split)
