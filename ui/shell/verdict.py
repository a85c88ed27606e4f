"""The verdict on a result in one sentence, and the next step as a button."""

import streamlit as st

from stc_core.analysis.frontier_options import enough_in_words, near_options, options_in
from stc_core.analysis.verdict import Standing, result_verdict
from stc_core.recipe_table import RECIPES
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from ui.cache.run_files import read
from ui.shell.downloads import report_button
from ui.shell.page_list import ERRORS, LAYERS
from ui.state.navigation import go

_REPORT_PX = 160
"""The width of the report's button: the sentence beside it is folded only once."""
_ICONS: dict[Standing, str] = {
    "better": ":material/trending_up:",
    "level": ":material/drag_handle:",
    "worse": ":material/trending_down:",
    "unknown": ":material/help:",
}


def show_verdict(run: Run) -> None:
    """Draw how the result stands beside its baselines, and what to do next."""
    found = result_verdict(read(run, "metrics"))
    box = {"better": st.success, "worse": st.warning}.get(found.standing, st.info)
    box(found.sentence, icon=_ICONS[found.standing])
    with st.container(horizontal=True):
        _cheaper_button(run)
        mistakes_button()
        report_button(run)


def mistakes_button() -> None:
    """Draw the button that opens the mistakes of the run."""
    label, icon = "Look at its mistakes", ":material/search:"
    if st.button(label, icon=icon, key="verdict_errors"):
        go(ERRORS)


def verdict_line(run: Run, *, mistakes: bool = False) -> None:
    """Draw how the result stands beside its baselines in one line, and the report.

    With `mistakes` the button that opens its mistakes stands between them.
    """
    found = result_verdict(read(run, "metrics"))
    colour = {"better": "green", "worse": "orange"}.get(found.standing, "blue")
    said = f":small[:{colour}[{_ICONS[found.standing]}] {found.sentence}]"
    with st.container(horizontal=True, vertical_alignment="center", wrap=False):
        st.markdown(said, width="stretch")
        if mistakes:
            mistakes_button()
        with st.container(width=_REPORT_PX):
            report_button(run, quiet=True)


def _cheaper_button(run: Run) -> None:
    """Draw the button of a cheaper classifier that is nearly as good, if there is one.

    A run with a tuned model has none.
    """
    if not run.has(RunFile.FRONTIER) or RECIPES[run.config.train.recipe].tunes:
        return
    frontier = read(run, "frontier")
    options = options_in(frontier, run.goal)
    chosen = options[int(frontier["chosen"].to_numpy().argmax())]
    for option in near_options(options, chosen):
        label = enough_in_words(option, frontier, run.goal)
        if st.button(label, icon=":material/savings:", key="verdict_cheaper"):
            go(LAYERS, layers="cheaper", depth=option.layer, size=option.neurons)
