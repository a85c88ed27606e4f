"""A short summary of a run: its state as a badge, its result as three numbers."""

import streamlit as st

from stc_core.runs import status
from stc_core.runs.processes import queue
from stc_core.runs.run import Run
from stc_core.runs.run_summary import result_facts
from ui.cache.run_files import summary_of


def state(run: Run) -> str:
    """The state of `run`: queued, running, done, failed or cancelled."""
    return run.status["state"]


def doing(run: Run) -> str:
    """One line: the current work of an active run, or its place in the queue."""
    return status.doing_line(run.status, position=queue.position(run.folder))


_BADGES = {
    "queued": ("gray", ":material/schedule:"),
    "running": ("blue", ":material/progress_activity:"),
    "done": ("green", ":material/check:"),
    "failed": ("red", ":material/error:"),
    "cancelled": ("orange", ":material/cancel:"),
}


def badge(run: Run) -> None:
    """Draw the state of `run` as a coloured label."""
    name = state(run)
    colour, icon = _BADGES[name]
    st.badge(name, color=colour, icon=icon)  # pyright: ignore[reportArgumentType]


def headline(run: Run) -> tuple[str, str, str]:
    """Test accuracy, neurons kept and layers read; dashes while there is no result."""
    result = summary_of(run).result
    if result is None:
        return ("–", "–", "–")
    facts = result_facts(result)
    return facts["accuracy"].value, facts["neurons"].line, facts["layers"].line
