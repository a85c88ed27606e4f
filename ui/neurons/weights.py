"""The weights of one neuron by class, its activations, and its rank among others."""

from typing import Any

import streamlit as st

from stc_core.figures.activity import (
    FEW,
    MOST_ACTIVITY_CLASSES,
    activation_rows,
    class_rows,
    density_rows,
    weight_bars,
)
from stc_core.interpret.neuron_table import weights_of
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from ui.cache.effects import usage_of_neurons
from ui.cache.neuron_values import values_of
from ui.cache.run_files import read
from ui.cache.texts import texts_of
from ui.charts.chart import chart
from ui.state.navigation import context

_SIGNS = "Blue: for the class. Orange: against it."
WEIGHT_HELP = (
    "How much the logit of the class changes when the neuron is one standard deviation "
    f"(SD) more active. {_SIGNS}"
)
DENSITY_HELP = (
    "Each curve is scaled to its own peak. A tick marks the median. For a class with "
    f"fewer than {FEW} texts, each text is drawn as a point."
)


DRAW_WORDS = {
    "halves": "halves of the rows",
    "bootstrap": "bootstrap samples",
    "seeds": "draws of other seeds",
}
NARROW_PX = 26
"""The height of the row of a class beside the map, in pixels."""


def show_weights(run: Run, neuron: dict[str, Any], label: str | None) -> None:
    """Draw the weights of one neuron by class, and below them its activations."""
    weights = weights_of(neuron)
    values = values_of(run, neuron["neuron"])
    classes = class_rows(weights, label)
    st.markdown("**Weight for each class**", help=WEIGHT_HELP)
    figure = weight_bars(weights, classes, row_px=NARROW_PX)
    chart(figure, "weights", alt="Signed weight per class")
    show_frequency(run, neuron)
    show_ranks(run, neuron)
    if len(weights) > len(classes):
        st.caption(f"The {MOST_ACTIVITY_CLASSES} strongest of {len(weights)} classes.")
    rows = density_rows if activity_heading() == "density" else activation_rows
    texts = texts_of(run)
    example, marks = context().example, {}
    if example is not None and example < len(values):
        marks = {texts.place(example): float(values[example])}
    figure = rows(values, texts.labels, classes, marks=marks, row_px=NARROW_PX)
    chart(figure, "density", alt="Activation by class")


def show_frequency(run: Run, neuron: dict[str, Any]) -> None:
    """Say how often other rows keep this neuron, if the run measured it."""
    if not run.has(RunFile.STABILITY):
        return
    stability, place = read(run, "stability"), neuron["neuron"]
    halves = {"halves": stability}  # all that older runs have
    said = [
        f"{round(one['frequency'][place] * one['n_selections'])} of "
        f"{one['n_selections']} {DRAW_WORDS[name]}"
        for name, one in stability.get("repeats", halves).items()
    ]
    st.caption(f"Chosen on {', '.join(said)}.")


def show_ranks(run: Run, neuron: dict[str, Any]) -> None:
    """Say how much is read and used of this neuron, if the run measured it."""
    usage = usage_of_neurons(run)
    if usage is None:
        return
    said, places = [], usage.drop_duplicates(["site", "index"])
    for column, verb in (("readout", "Read"), ("effect", "Used")):
        values = places[column].to_numpy(float)
        own = float(usage[column].iloc[neuron["neuron"]])
        rank = 1 + int((values > own).sum())
        said.append(f"{verb} {own:.3f} (rank {rank:,} of {len(values):,})")
    st.caption(f"{said[0]}; {said[1][0].lower()}{said[1][1:]}, in logits.")


def activity_heading() -> str:
    """Draw the heading of the activations; return how they are drawn."""
    with st.container(
        horizontal=True, vertical_alignment="center", gap="xsmall", wrap=False
    ):
        st.markdown("**Activity by class**", help=DENSITY_HELP, width="stretch")
        return st.segmented_control(
            "Draw as",
            ["density", "counts"],
            default="density",
            required=True,
            key="activity",
            label_visibility="collapsed",
        )
