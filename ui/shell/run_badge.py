"""A short summary of a run: its state as a badge, its result as three numbers."""

import streamlit as st

from stc_core.display import percent
from stc_core.runs import queue, status
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from ui.cache.run_files import read


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
    # An active run may already have written some of these numbers.
    if state(run) != "done" or not run.has(RunFile.METRICS):
        return ("–", "–", "–")
    metrics = read(run, "metrics")
    neurons, layers = metrics["neurons"], metrics["layers"]
    return (
        percent(metrics["test"]["accuracy"]),
        f"{neurons['selected']:,} of {neurons['total']:,}",
        f"{layers['used']} of {layers['total']}",
    )
