"""The path run › layer › neuron › text as links, and the button that copies a link."""

from pathlib import Path

import pandas as pd
import streamlit as st
from streamlit.components.v2 import component

from stc_core.interpret.neuron_table import neuron_name, number_at, one_of
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from ui.cache.run_files import read
from ui.cache.texts import texts_of
from ui.shell.messages import escape
from ui.shell.page_list import CURVES, EXAMPLES, LAYERS, NEURONS
from ui.state.context import PLACES, Context, Place
from ui.state.navigation import context

_HERE = Path(__file__).parent
_SHOWN = 32
"""The most characters of a typed text that are shown."""
_copy = component(
    "stc_copy",
    html=(_HERE / "copy.html").read_text("utf-8"),
    css=(_HERE / "copy.css").read_text("utf-8"),
    js=(_HERE / "copy.js").read_text("utf-8"),
    isolate_styles=False,
)

_PAGES: dict[Place, str] = {
    "run": LAYERS,
    "layer": LAYERS,
    "neuron": NEURONS,
    "example": EXAMPLES,
}


def is_inside() -> bool:
    """True if the context names a place inside the run: a layer, a neuron, a text."""
    current = context()
    inner = (current.layer, current.neuron, current.example, current.text or None)
    return any(place is not None for place in inner)


def show_breadcrumbs(run: Run) -> None:
    """Draw run › layer › neuron › text as links.

    A place that the context does not name is left out.
    """
    current = context()
    with st.container(
        horizontal=True, vertical_alignment="center", gap="xxsmall", key="page_places"
    ):
        for place in PLACES:
            typed = place == "example" and current.text
            if getattr(current, place) is None and not typed:
                continue
            if place != "run":
                st.caption("›", width="content")
            st.page_link(
                _PAGES[place],
                label=_name(run, current, place),
                query_params=_up(current, place).params(),
            )


def copy_link() -> None:
    """Draw the button that copies the address of this view.

    If only this machine can open the address, the button says so.
    """
    _copy(key="copy_link", data=context().params(), width="content")


def _up(current: Context, place: Place) -> Context:
    """`held` without the places deeper than `place`.

    A link to a layer opens the tab of the page Layers that shows layers.
    """
    above = current.up_to(place)
    return above._replace(layers=CURVES) if place == "layer" else above


def _name(run: Run, current: Context, place: Place) -> str:
    if place == "run":
        return escape(run.name)
    if place == "layer":
        return f"layer {current.layer}"
    if place == "example" and current.text:
        cut = "…" if len(current.text) > _SHOWN else ""
        return f"“{escape(current.text[:_SHOWN])}{cut}”"
    if place == "example":
        has_texts = run.has(RunFile.CORPUS)
        example = int(current.example or 0)
        return texts_of(run).place(example) if has_texts else f"text {example}"
    neurons = read(run, "neurons") if run.has(RunFile.NEURONS) else pd.DataFrame()
    address = str(current.neuron)
    number = None if neurons.empty else number_at(neurons, address)
    name = None if number is None else neuron_name(one_of(neurons, number))
    return escape(name or f"neuron {address}")
