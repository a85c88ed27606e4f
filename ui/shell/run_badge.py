"""A run in a few words: its state as a badge, its result as three figures."""

import streamlit as st

from stc_core.display import percent
from stc_core.runs import queue, status
from stc_core.runs.run import Run
from ui.cache.run_files import read


def state(run: Run) -> str:
    """queued, running, done, failed or cancelled."""
    return run.status["state"]


def doing(run: Run) -> str:
    """What is being done for a run at work, or its place in the queue."""
    return status.doing_line(run.status, position=queue.position(run.folder))


_BADGES = {
    "queued": ("gray", ":material/schedule:"),
    "running": ("blue", ":material/progress_activity:"),
    "done": ("green", ":material/check:"),
    "failed": ("red", ":material/error:"),
    "cancelled": ("orange", ":material/cancel:"),
}


def badge(run: Run) -> None:
    """The state of `run` as a coloured label."""
    said = state(run)
    colour, icon = _BADGES[said]
    st.badge(said, color=colour, icon=icon)  # pyright: ignore[reportArgumentType]


def headline(run: Run) -> tuple[str, str, str]:
    """Test accuracy, neurons kept and layers read; dashes while there is no result."""
    # Of a run at work some figures may be on disk already.
    if state(run) != "done" or not run.has("metrics.json"):
        return ("–", "–", "–")
    metrics = read(run, "metrics")
    neurons, layers = metrics["neurons"], metrics["layers"]
    return (
        percent(metrics["test"]["accuracy"]),
        f"{neurons['selected']:,} of {neurons['total']:,}",
        f"{layers['used']} of {layers['total']}",
    )
