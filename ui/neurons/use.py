"""What the classifier reads of each kept neuron beside what the model uses."""

from typing import Any

import streamlit as st

from stc_core.figures.neurons import usage_scatter
from stc_core.interpret.interventions.sentences import usage_sentences
from stc_core.runs.run import Run
from ui.cache.effects import READ_TEXTS, usage_of_neurons, usage_on
from ui.cache.run_files import read
from ui.charts.chart import chart
from ui.shell.measuring import measured
from ui.state.clicks import click_neuron

_ABOUT = (
    "Read: the size of the neuron's part of the logit. Used: what the logit would lose "
    "if the model gave the neuron its mean at every word and computed everything above "
    "it again, to first order. A neuron may be easy to read and feed nothing above."
)


def show_use(run: Run, neuron: dict[str, Any]) -> None:
    """Draw both values of all neurons, or the button that measures them."""
    usage = usage_of_neurons(run)
    if usage is None:
        _offer(run)
        return
    for sentence in usage_sentences(read(run, "usage")):
        st.markdown(sentence)
    chart(
        usage_scatter(usage, neuron["neuron"]),
        "usage",
        alt="What is read and what is used of each kept neuron",
        turn=click_neuron,
    )
    st.caption(
        f"{_ABOUT} Click a point to see that neuron. *Filters* sorts the map by use."
    )


def _offer(run: Run) -> None:
    if not st.button("Measure", type="primary", icon=":material/science:"):
        st.caption(
            f"{_ABOUT} {READ_TEXTS} texts are read at most; the run keeps the result."
        )
        return
    if measured(lambda stage: usage_on(run, stage=stage)) is not None:
        st.rerun()
