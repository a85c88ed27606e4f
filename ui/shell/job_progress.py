"""The progress of a background job, drawn again and again until the job has ended."""

import time
from collections.abc import Callable

import streamlit as st

from stc_core.display import duration
from stc_core.runs.status import BUSY, Status
from ui.shell.messages import escape


@st.fragment(run_every=1.0)
def watch(look: Callable[[], Status | None], draw: Callable[[Status], None]) -> None:
    """Draw a job every second, and rerun the page when the job has ended.

    `look` reads the status of the job; None means that there is no job any more.
    """
    status = look()
    if status is None or status["state"] not in BUSY:
        st.rerun()
    draw(status)


def show_progress(status: Status, doing: str, *, cancel: Callable[[], object]) -> None:
    """Draw the progress of a job with the words `doing`, and a button to cancel it."""
    with st.container(border=True):
        progress_bar(status, doing)
        if st.button("Cancel", icon=":material/stop_circle:", key="cancel"):
            cancel()
            st.rerun()
    st.caption("You can close this tab: the work goes on in its own process.")


def progress_bar(status: Status, doing: str) -> None:
    """Draw the bar of a job with the words `doing`; below, for how long it has run."""
    total = status["total"]
    st.progress(min(status["done"] / total, 1.0) if total else 0.0, text=doing)
    if status["state"] == "running":
        passed = duration(max(time.time() - status["started"], 0))
        facts = [f"Running for {passed}", escape(status["message"])]
        st.caption(" · ".join(filter(None, facts)))
