"""The page Errors, below its title."""

import streamlit as st

from ui.cache.run_files import examples, read, slice_mask
from ui.errors.confusions import choose_rows, show_confusions, show_scores, show_texts
from ui.errors.label_errors import mislabelled_rows
from ui.errors.slices import WHOLE, show_slices
from ui.errors.trust import ANY_ANSWER, show_trust
from ui.shell.frame import pick_run
from ui.shell.slice_picker import held_slice
from ui.state.navigation import tabs

_TABS = {
    "confusions": "Confusions",
    "slices": "Slices",
    "confidence": "Confidence",
    "labels": "Wrong labels",
}


def show_page() -> None:
    """Draw the page below its title."""
    run = pick_run(texts=True)
    table, classes = examples(run), read(run, "metrics")["classes"]
    split = choose_rows(table, classes)
    current = held_slice()
    of_split = (table["split"] == split).to_numpy()
    shares = read(run, "predictions").filter(like="p:").to_numpy(float)
    base = of_split & slice_mask(run, current.of_texts)
    full = base & slice_mask(run, current)
    if full.any():
        show_scores(run, table.loc[full], shares[full], split)
    else:
        st.info(
            f"No text of {split} is in this slice. Remove a condition above.",
            icon=":material/filter_alt_off:",
        )
    tab, container = tabs("errors", _TABS)
    with container:
        if tab == "confusions" and base.any():
            show_confusions(table.loc[base], classes)
        if tab == "slices":
            show_slices(run, split)
            if current.parts:
                st.caption(WHOLE)
        if tab in ("confusions", "slices") and full.any():
            show_texts(run, table.loc[full], split)
        if tab == "confidence" and base.any():
            show_trust(run, table.loc[base], shares[base])
            if current != current.of_texts:
                st.caption(ANY_ANSWER)
        if tab == "labels":
            mislabelled_rows(run)
