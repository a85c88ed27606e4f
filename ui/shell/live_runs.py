"""What is at work and what waits, followed while there is any."""

import time

import streamlit as st

from stc_core.display import duration
from stc_core.errors import StcError
from stc_core.runs import jobs, queue
from stc_core.runs.run import Run, list_runs
from stc_core.runs.status import BUSY
from ui.shell.messages import escape
from ui.shell.run_badge import doing, state

POLL_S = 1.5
FOLLOW_S = 3.0


def _signature(runs: list[Run]) -> list[tuple[str, str]]:
    """What must change for the whole page to be drawn anew."""
    return [(run.folder.name, state(run)) for run in runs]


def follow(runs: list[Run]) -> None:
    """While a run is at work, draw the page anew when the state of any has changed.

    Call it before the page tells of them. Without it a page that is only read would
    call a run at work that has long ended.
    """
    seen = _signature(runs)
    if any(said in BUSY for _, said in seen):
        st.fragment(_look, run_every=FOLLOW_S)(seen)


def _look(seen: list[tuple[str, str]]) -> list[Run]:
    """The runs, if their states are those that were seen; else the page begins anew.

    It also does where the queue is damaged: its frame says so.
    """
    try:
        queue.advance()
    except StcError:
        st.rerun()
    runs = list_runs()
    if _signature(runs) != seen:
        st.rerun()
    return runs


def at_work(runs: list[Run]) -> None:
    """What is at work and what waits; looks again and again while there is any."""
    if any(state(run) in BUSY for run in runs):
        st.subheader("Now", anchor=False)
        st.fragment(_watch, run_every=POLL_S)(_signature(runs))


def _watch(seen: list[tuple[str, str]]) -> None:
    runs = _look(seen)
    busy = [run for run in runs if state(run) in BUSY]
    places = {run.folder: queue.position(run.folder) for run in busy}
    for run in sorted(busy, key=lambda run: places[run.folder] or 0):
        with st.container(border=True):
            _one(run, places[run.folder])


def _one(run: Run, position: int | None) -> None:
    """One run: its phase, rate and time left, or its place in the queue."""
    status = run.status
    told, stop = st.columns([5, 1], vertical_alignment="center")
    with told:
        said = f"**{escape(run.name)}** · {doing(run)}"
        if position is not None:
            st.markdown(said)
        else:
            total = status["total"]
            st.progress(min(status["done"] / total, 1.0) if total else 0.0, text=said)
            passed = duration(max(time.time() - status["started"], 0))
            note = escape(status["message"])
            st.caption(" · ".join(filter(None, [f"Running for {passed}", note])))
    if stop.button(
        "Cancel",
        icon=":material/stop_circle:",
        key=f"cancel_{run.folder.name}",
        width="stretch",
    ):
        jobs.cancel(run.folder)
        st.rerun()
