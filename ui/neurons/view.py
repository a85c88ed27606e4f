"""The page Neurons, below its title."""

import streamlit as st

from stc_core.interpret.neuron_table import one_of
from ui.cache.neuron_values import has_neurons
from ui.cache.run_files import read, spells_labels
from ui.neurons.map import choose_neuron, filters, show_map
from ui.neurons.panels import MEASURING, show_panels
from ui.neurons.search import show_search
from ui.neurons.stability import show_stability
from ui.neurons.weights import show_weights
from ui.neurons.words import show_words
from ui.shell.frame import pick_run
from ui.shell.widgets import FIGURE_AND_TEXT
from ui.state.navigation import context, remember

NONE = (
    "This run keeps no neurons: attention reads every hidden state of all its layers. "
    "*Layers* shows how much it reads of each layer, *Examples* how much of each word."
)
NO_SELECTION = (
    "This run keeps no neurons: its model has a classification head of its own. Train "
    "with sparse probes on the same model to see which neurons know the labels."
)
SPELLED = (
    "This run spells its labels with a decoder's words. The neurons below belong to "
    "the sparse classifier it was compared with, on the model before the tuning."
)


def show_page() -> None:
    """Draw the page below its title.

    A panel that measures stands above the map: below it, one would not see that
    something begins.
    """
    run = pick_run(texts=True)
    if run.done and not has_neurons(run):
        said = NO_SELECTION if "own_head" in run.metrics else NONE
        st.info(said, icon=":material/visibility:")
        st.stop()
    if spells_labels(run):
        st.caption(f":material/spellcheck: {SPELLED}")
    neurons = read(run, "neurons")
    shown = filters(run)
    if shown.frame.empty:
        st.info("No kept neuron passes these filters.")
        st.button(
            "Clear the filters",
            icon=":material/filter_alt_off:",
            on_click=lambda: remember(layer=None, kind=None, pooling=None),
        )
        st.stop()
    left, right = st.columns(FIGURE_AND_TEXT, gap="medium")
    above, middle, below = left.container(), left.container(), left.container()
    with middle:
        show_map(run, shown)
    with right:
        neuron = one_of(neurons, choose_neuron(run, shown))
        show_weights(run, neuron, shown.label)
    with above if context().side in MEASURING else below:
        show_panels(run, neuron)
    with below:
        show_search(run)
        show_words(run)
        show_stability(run)
