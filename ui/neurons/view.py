"""Neurons: the map of those that were kept, and one of them from close by."""

import streamlit as st

from stc_core.interpret.neuron_table import neuron_name, one_of
from ui.cache.neuron_values import has_neurons
from ui.cache.run_files import read, spells
from ui.neurons.map import chooser, close_up, filters, map_of
from ui.neurons.panels import show_panels
from ui.neurons.search import finder
from ui.shell.frame import pick_run
from ui.state.navigation import remember

NONE = (
    "This run keeps no neurons: attention reads every hidden state of all its layers. "
    "See *Layers* for how much of each, *Examples* for the words of a text."
)
SPELLED = (
    "This run spells its labels with a decoder's words. These are the neurons of the "
    "sparse classifier that it was compared with, on the model before it was tuned."
)


def show_page() -> None:
    """What stands below the title."""
    run = pick_run()
    if run.done and run.config.train.recipe == "attention" and not has_neurons(run):
        st.info(NONE, icon=":material/visibility:")
        st.stop()
    if spells(run):
        st.info(SPELLED, icon=":material/spellcheck:")
    neurons = read(run, "neurons")
    shown = filters(run)
    if shown.frame.empty:
        st.info("No neuron that was kept passes these filters.")
        st.button(
            "Clear the filters",
            icon=":material/filter_alt_off:",
            on_click=lambda: remember(layer=None, kind=None, pooling=None),
        )
        st.stop()
    map_of(run, shown)
    finder(run)
    neuron = one_of(neurons, chooser(run, shown))
    st.subheader(neuron_name(neuron), anchor=False)
    close_up(run, neuron, shown.label)
    show_panels(run, neuron)
