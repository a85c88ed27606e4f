"""The page Errors, below its title."""

import streamlit as st

from ui.cache.run_files import examples, in_slice, read
from ui.errors.confusions import choose_rows, listing, matrix, show_scores
from ui.errors.label_errors import mislabelled_rows
from ui.errors.slices import WHOLE, slices
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
    """What stands below the title."""
    run = pick_run()
    table, classes = examples(run), read(run, "metrics")["classes"]
    split = choose_rows(table, classes)
    held = held_slice()
    of_split = (table["split"] == split).to_numpy()
    shares = read(run, "predictions").filter(like="p:").to_numpy(float)
    base = of_split & in_slice(run, held.of_texts)
    full = base & in_slice(run, held)
    if full.any():
        show_scores(run, table.loc[full], shares[full], split)
    else:
        st.info(
            f"No text of {split} is in this slice. Take a condition away above.",
            icon=":material/filter_alt_off:",
        )
    tab, place = tabs("errors", _TABS)
    with place:
        if tab == "confusions" and base.any():
            matrix(table.loc[base], classes)
        if tab == "slices":
            slices(run, split)
            if held.parts:
                st.caption(WHOLE)
        if tab in ("confusions", "slices") and full.any():
            listing(run, table.loc[full], split)
        if tab == "confidence" and base.any():
            show_trust(run, table.loc[base], shares[base])
            if held != held.of_texts:
                st.caption(ANY_ANSWER)
        if tab == "labels":
            mislabelled_rows(run)
