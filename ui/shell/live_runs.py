"""Runs that are active or waiting, looked at again and again until all have ended."""

import streamlit as st

from stc_core.errors import StcError
from stc_core.runs.processes import jobs, queue
from stc_core.runs.run import Run, list_runs
from stc_core.runs.status import BUSY
from ui.shell.job_progress import run_bar
from ui.shell.messages import escape
from ui.shell.run_badge import doing, state

POLL_S = 1.5
FOLLOW_S = 3.0


def _signature(runs: list[Run]) -> list[tuple[str, str]]:
    """The name and state of each run; if they change, the whole page is drawn again."""
    return [(run.folder.name, state(run)) for run in runs]


def rerun_on_change(runs: list[Run]) -> None:
    """While a run is active, draw the page again when the state of any run changes.

    Call it before the page shows the runs. Without it a page that nobody clicks would
    go on showing a run as active after it ended.
    """
    seen = _signature(runs)
    if any(status in BUSY for _, status in seen):
        st.fragment(_look, run_every=FOLLOW_S)(seen)


def _look(seen: list[tuple[str, str]]) -> list[Run]:
    """The runs, if their states are still `seen`; otherwise the page is drawn again.

    The page is also drawn again if the queue is damaged: `frame` then shows the error.
    """
    try:
        queue.advance()
    except StcError:
        st.rerun()
    runs = list_runs()
    if _signature(runs) != seen:
        st.rerun()
    return runs


def show_active_runs(runs: list[Run]) -> None:
    """Show the active and waiting runs, and update them until none is left."""
    if any(state(run) in BUSY for run in runs):
        st.subheader("Now", anchor=False)
        st.fragment(_watch, run_every=POLL_S)(_signature(runs))


def _watch(seen: list[tuple[str, str]]) -> None:
    runs = _look(seen)
    busy = [run for run in runs if state(run) in BUSY]
    positions = {run.folder: queue.position(run.folder) for run in busy}
    for run in sorted(busy, key=lambda run: positions[run.folder] or 0):
        with st.container(border=True):
            _show_active_run(run, positions[run.folder])


def _show_active_run(run: Run, position: int | None) -> None:
    """Show the phase, rate and time left of a run, or its place in the queue."""
    progress, stop = st.columns([5, 1], vertical_alignment="center")
    with progress:
        if run.status["state"] == "running":
            st.markdown(f"**{escape(run.name)}**")
            run_bar(run)
        else:
            icon = ":material/schedule:" if position is not None else ""
            st.markdown(f"{icon} **{escape(run.name)}** · {doing(run)}")
    if stop.button(
        "Cancel",
        icon=":material/stop_circle:",
        key=f"cancel_{run.folder.name}",
        width="stretch",
    ):
        jobs.cancel(run.folder)
        st.rerun()
