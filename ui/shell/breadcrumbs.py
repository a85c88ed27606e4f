"""Where one is in a run, as links back up, and a button that copies its address."""

from pathlib import Path

import pandas as pd
import streamlit as st
from streamlit.components.v2 import component

from stc_core.interpret.neuron_table import neuron_name, one_of
from stc_core.runs.run import Run
from ui.cache.run_files import read
from ui.cache.texts import texts_of
from ui.shell.messages import escape
from ui.shell.page_list import CURVES, EXAMPLES, LAYERS, NEURONS
from ui.state.context import PLACES, Context, Place
from ui.state.navigation import context

_HERE = Path(__file__).parent
_SHOWN = 32
"""Characters of a typed text that are shown at most."""
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


def trail(run: Run) -> None:
    """run › layer › neuron › text, each a link to it, then the button that copies."""
    held = context()
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        for place in PLACES:
            own = place == "example" and held.text
            if getattr(held, place) is None and not own:
                continue
            if place != "run":
                st.caption("›", width="content")
            st.page_link(
                _PAGES[place],
                label=_name(run, held, place),
                query_params=_up(held, place).params(),
            )
        st.space("stretch")
        _copy(key="copy_link", data=held.params(), width="content")


def _up(held: Context, place: Place) -> Context:
    """`held` without what is deeper; a layer is told of in one tab of its page."""
    above = held.up_to(place)
    return above._replace(layers=CURVES) if place == "layer" else above


def _name(run: Run, held: Context, place: Place) -> str:
    if place == "run":
        return escape(run.name)
    if place == "layer":
        return f"layer {held.layer}"
    if place == "example" and held.text:
        cut = "…" if len(held.text) > _SHOWN else ""
        return f"“{escape(held.text[:_SHOWN])}{cut}”"
    if place == "example":
        there = run.has("corpus.parquet")
        example = int(held.example or 0)
        return texts_of(run).place(example) if there else f"text {example}"
    neurons = read(run, "neurons") if run.has("neurons.parquet") else pd.DataFrame()
    known = not neurons.empty and held.neuron in neurons["neuron"].to_numpy()
    name = neuron_name(one_of(neurons, int(held.neuron or 0))) if known else None
    return escape(name or f"neuron {held.neuron}")
