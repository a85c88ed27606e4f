"""The sidebar: links to the pages in groups; a page with nothing to show is greyed."""

from collections.abc import Mapping

import streamlit as st

from stc_core.errors import StcError
from stc_core.paths import runs_folder
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from ui.cache.neuron_values import has_neurons
from ui.cache.run_files import read
from ui.shell.page_list import (
    ADAPT,
    COMPARE,
    ERRORS,
    GROUPS,
    HIERARCHY,
    NEURONS,
    OF_A_RUN,
    PAGES,
)
from ui.shell.run_badge import state
from ui.state.account import has_login
from ui.state.navigation import link

NO_RUN = "There is no run yet. Train one, or open the example on Home."
NO_TEXTS = "This run came without its texts, which this page shows."
NO_NEURONS = "This run keeps no single neurons: attention reads whole layers."
NO_LEVELS = "The table of this run has one level of labels."
NO_SPREAD = "This run did not read hidden states by their mean, which this page needs."
NO_OTHER = "There is one finished run. Train a second one to compare the two."


def draw_sidebar(runs: Mapping[str, Run], picked: Run | None) -> None:
    """Draw the links to all pages; a page that cannot show `picked` says why."""
    st.markdown("### :material/biotech: STC Studio")
    reasons = closed_pages(runs, picked)
    with st.container(key="page_groups"):
        for group, pages in GROUPS.items():
            st.caption(group)
            for page in pages:
                label, icon = PAGES[page]
                link(page, label, icon=icon, closed=reasons.get(page))
    st.space("xsmall")
    if not has_login():
        st.caption(f"Runs are kept in `{runs_folder()}`")


def closed_pages(runs: Mapping[str, Run], picked: Run | None) -> dict[str, str]:
    """The pages that have nothing to show of `picked`, each with the reason.

    A run that is not finished, or cannot be read, closes no page: the page itself says
    what is the matter.
    """
    if not runs:
        return dict.fromkeys(OF_A_RUN, NO_RUN)
    if picked is None or not picked.done:
        return {}
    closed: dict[str, str] = {}
    if sum(state(run) == "done" for run in runs.values()) < 2:
        closed[COMPARE] = NO_OTHER
    if not picked.has(RunFile.CORPUS):
        closed |= dict.fromkeys((NEURONS, ERRORS, COMPARE), NO_TEXTS)
    try:
        if not has_neurons(picked):
            closed[NEURONS] = NO_NEURONS
        if not picked.has(RunFile.VARIABILITY):
            closed[ADAPT] = NO_SPREAD
        if not _has_levels(picked):
            closed[HIERARCHY] = NO_LEVELS
    except StcError:
        return {}
    return closed


def _has_levels(run: Run) -> bool:
    """True if the run, or its table, has several levels of labels, or a reply."""
    if "hierarchy" in read(run, "metrics"):
        return True
    labels = read(run, "report").columns.labels if run.has(RunFile.REPORT) else ()
    return len(labels) > 1
