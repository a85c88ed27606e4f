"""The progress of a background job, drawn again and again until the job has ended."""

import time
from collections.abc import Callable

import streamlit as st

from stc_core.display import count, duration
from stc_core.paths import runs_folder
from stc_core.recipe_table import RECIPES
from stc_core.runs.processes import jobs, queue
from stc_core.runs.run import Run
from stc_core.runs.status import (
    BUSY,
    RunProgress,
    Status,
    doing_line,
    read_expected,
    run_progress,
)
from ui.shell.messages import escape

CLOSE_TAB = "You can close this tab: the work goes on in its own process."


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
    st.caption(CLOSE_TAB)


def whole_progress(run: Run) -> RunProgress:
    """How far `run` is through all its phases, and the time left if it is known."""
    recipe = RECIPES[run.config.train.recipe]
    expected = read_expected(run.folder)
    return run_progress(run.status, expected, recipe=recipe, now=time.time())


def run_bar(run: Run) -> None:
    """Draw the one bar of a whole run that is at work, with the time left."""
    whole = whole_progress(run)
    share = f"{100 * whole.share:.0f} %"
    left = f" · about {rough(whole.left_s)} left" if whole.left_s is not None else ""
    st.progress(min(whole.share, 1.0), text=f"**{share}**{left}")
    status = run.status
    passed = duration(max(time.time() - status["started"], 0))
    doing = doing_line({**status, "eta_s": None})
    facts = [f"Running for {passed}", doing, escape(status["message"])]
    st.caption(" · ".join(filter(None, facts)))


def show_run(run: Run, status: Status) -> None:
    """Draw the one bar of an active run or its place in the queue; a button to cancel.

    Each page that starts a run shows it with this.
    """
    with st.container(border=True):
        bar, stop = st.columns([6, 1], vertical_alignment="center")
        with bar:
            if status["state"] == "running":
                run_bar(run)
            else:
                _show_queued(run)
        if stop.button("Cancel", icon=":material/stop_circle:", key="cancel"):
            jobs.cancel(run.folder)
            st.rerun()
    st.caption(CLOSE_TAB)


def _show_queued(run: Run) -> None:
    """Say that a run waits, and for which runs."""
    if (place := queue.position(run.folder)) is None:
        st.markdown(":material/schedule: **Starting**")
        return
    active = queue.active_runs()
    own = [Run(folder) for folder in active if folder.parent == runs_folder()]
    names = [f"**{escape(other.name)}**" for other in own]
    if others := len(active) - len(own):
        names.append(f"{count(others, 'run')} of other users")
    named = ", ".join(names)
    ahead = f"It starts when {named} has ended." if place == 1 and named else ""
    st.markdown(
        f":material/schedule: **Waiting, number {place} in the queue.** {ahead}"
    )


def rough(seconds: float) -> str:
    """A time that is not known well: '5 s', '25 s', '3 min', '1 h 5 min'."""
    if seconds < 57.5:
        return f"{max(round(seconds / 5) * 5, 5)} s"
    return duration(60 * round(seconds / 60)).removesuffix(" 0 s")


def progress_bar(status: Status, doing: str) -> None:
    """Draw the bar of a job with the words `doing`; below, for how long it has run."""
    total = status["total"]
    st.progress(min(status["done"] / total, 1.0) if total else 0.0, text=doing)
    if status["state"] == "running":
        passed = duration(max(time.time() - status["started"], 0))
        facts = [f"Running for {passed}", escape(status["message"])]
        st.caption(" · ".join(filter(None, facts)))
