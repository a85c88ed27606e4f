"""Neurons: the map of those that were kept, and one of them from close by."""

from typing import Any, get_args
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import streamlit as st

import ui
from stc_core.axes import KINDS, POOLINGS
from stc_core.clicks import click_neuron
from stc_core.exemplars import pick_texts, shading
from stc_core.figures_layers import KIND_NAMES
from stc_core.figures_neurons import (
    MOST,
    MOST_CLASSES,
    activation_rows,
    class_rows,
    neuron_map,
    weight_bars,
)
from stc_core.markup import TextRow, coloured, legend, text_list
from stc_core.neurons import (
    Order,
    chosen_neurons,
    classes_of,
    names_of,
    neighbour,
    neuron_name,
    one_of,
    weights_of,
)
from stc_core.run import Run

IMPORTANCE_OF_ALL = "importance, all classes"
ORDERS: tuple[Order, ...] = get_args(Order)
SIGNS = "Blue: for the class. Orange: against it."
WEIGHT_HELP = (
    "How much the logit of the class changes when the neuron is one standard deviation "
    f"more active. {SIGNS}"
)
POOLED = {
    "mean": "The number on the left is the average over all tokens.",
    "max": "The number on the left is that of the most active token; only it counts.",
    "first": "The number on the left is that of the first token; only it counts.",
    "last": "The number on the left is that of the last token; only it counts.",
}


def filters(neurons: pd.DataFrame) -> tuple[pd.DataFrame, str | None]:
    """The neurons to show in their order, and the class that colours them."""
    row = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
    with row:
        label = ui.pick(
            "label",
            "Colour by",
            [None, *classes_of(neurons)],
            format_func=lambda name: name or IMPORTANCE_OF_ALL,
            placeholder=IMPORTANCE_OF_ALL,
            width=230,
        )
        layers = sorted({int(one) for one in neurons["layer"]})
        only = ui.pick(
            "layer",
            "Layer",
            [None, *layers],
            format_func=lambda one: "all" if one is None else str(one),
            placeholder="all",
            width=110,
        )
    shown = chosen_neurons(
        neurons,
        kind=ui.pick(
            "kind",
            "Read from",
            [kind for kind in KINDS if kind in set(neurons["kind"])],
            widget=row.pills,
            optional=True,
            format_func=lambda kind: KIND_NAMES[kind],
        ),
        pooling=ui.pick(
            "pooling",
            "Pooled by",
            [name for name in POOLINGS if name in set(neurons["pooling"])],
            widget=row.pills,
            optional=True,
        ),
        layer=only,
        label=label,
        order=row.segmented_control(
            "Sort a layer by",
            ORDERS,
            default=ORDERS[0],
            required=True,
            disabled=label is None,
            key="neuron_order",
        ),
    )
    return shown, label


def map_of(shown: pd.DataFrame, label: str | None, total: int) -> None:
    if len(shown) > MOST:
        st.info(f"Of {len(shown):,} neurons the {MOST:,} most important are drawn.")
    figure = neuron_map(shown, label=label, picked=picked(shown))
    st.plotly_chart(
        figure,
        key="neuron_chart",
        on_select=ui.clicked("neuron_chart", click_neuron),
        selection_mode="points",
        config={"displayModeBar": False},
        alt="The selected neurons by site, coloured by weight or importance",
    )
    means = "The stronger the colour, the more important." if label is None else SIGNS
    st.caption(
        f"{len(shown):,} of the {total:,} neurons that were kept, the first layer at "
        f"the bottom. {means} Click a square to see that neuron."
    )


def picked(shown: pd.DataFrame) -> int:
    """The neuron of the context, or else the most important one shown."""
    held = ui.context().neuron
    if held is not None and held in ui.read(run, "neurons")["neuron"].to_numpy():
        return held
    return int(shown.loc[shown["importance"].idxmax(), "neuron"])


def chooser(neurons: pd.DataFrame, shown: pd.DataFrame) -> int:
    """Previous, next, or one by name."""
    now, order = picked(shown), [int(one) for one in shown["neuron"]]
    names = names_of(neurons)
    row = st.container(horizontal=True, vertical_alignment="bottom")
    back, choice, forth = (
        row.container(width=130),
        row.container(),
        row.container(width=130),
    )
    for column, icon, step, key in (
        (back, ":material/chevron_left:", -1, "Previous"),
        (forth, ":material/chevron_right:", 1, "Next"),
    ):
        there = neighbour(order, now, step)
        column.button(
            key,
            icon=icon,
            width="stretch",
            disabled=there is None,
            on_click=lambda there=there: ui.remember(neuron=there),
        )
    with choice:
        options = order if now in order else [now, *order]
        return ui.pick(
            "neuron",
            "Neuron",
            options,
            default=now,
            format_func=lambda one: names[one],
        )


def close_up(run: Run, neuron: dict[str, Any], label: str | None) -> None:
    """The weights and the activations by class of one neuron."""
    weights = weights_of(neuron)
    values = np.asarray(run.activations[:, neuron["neuron"]], float)
    classes = class_rows(weights, label)
    bars, histogram = st.columns(2, gap="large")
    with bars:
        st.markdown("**Weight for each class**", help=WEIGHT_HELP)
        figure = weight_bars(weights, classes)
        st.plotly_chart(figure, key="weights", alt="Signed weight per class")
        if len(weights) > len(classes):
            st.caption(f"The {MOST_CLASSES} strongest of {len(weights)} classes.")
    with histogram:
        st.markdown("**How active it is, by class**")
        labels = ui.read(run, "corpus")["label"].to_numpy()
        figure = activation_rows(values, labels, classes)
        st.plotly_chart(figure, key="density", alt="Activation by class")


def texts(run: Run, neuron: dict[str, Any]) -> None:
    """Highest, quantile, lowest and random texts with the activation on each word."""
    corpus = ui.read(run, "corpus")
    values = np.asarray(run.activations[:, neuron["neuron"]], float)
    found = pick_texts(values, corpus["text"].tolist())
    group = st.segmented_control(
        "Texts",
        list(dict.fromkeys(found["group"])),
        default=found["group"].iloc[0],
        required=True,
        key="text_group",
        help="Look at random texts too: the highest alone make any neuron look tidy.",
    )
    some = found.loc[found["group"] == group]
    shown = corpus["text"].iloc[some["row"]].tolist()
    tokens = ui.token_values(run, neuron["site"], neuron["index"], shown)
    floor, scale = shading(tokens)
    st.html(legend("sequential", scale=scale, floor=floor, high="activation"))
    rows = [
        TextRow(
            value=value,
            label=corpus["label"].iloc[row],
            html=coloured(text, parts, palette="sequential", scale=scale, floor=floor),
            href="Examples?" + urlencode(ui.context().moved(example=row).params()),
        )
        for row, value, text, parts in zip(
            some["row"], some["value"], shown, tokens, strict=True
        )
    ]
    st.html(text_list(rows))
    st.caption(POOLED[neuron["pooling"]])


ui.frame(
    "Neurons",
    ":material/grain:",
    caption="The few neurons that the classifier reads, and what makes them active.",
)
with ui.guard():
    run = ui.pick_run()
    if run.config.train.recipe == "attention" and run.done:
        st.info(
            "This run keeps no neurons: attention reads every hidden state of all its "
            "layers. See *Layers* for how much of each, *Examples* for the words.",
            icon=":material/visibility:",
        )
        st.stop()
    neurons = ui.read(run, "neurons")
    shown, label = filters(neurons)
    if shown.empty:
        st.info("No neuron that was kept passes these filters. Clear one of them.")
        st.stop()
    map_of(shown, label, len(neurons))
    number = chooser(neurons, shown)
    neuron = one_of(neurons, number)
    st.subheader(neuron_name(neuron), anchor=False)
    close_up(run, neuron, label)
    texts(run, neuron)
