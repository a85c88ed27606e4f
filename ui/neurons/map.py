"""The map of the kept neurons, the way to one of them, and its weights close by."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from stc_core.figures.activity import (
    FEW,
    MOST_ACTIVITY_CLASSES,
    activation_rows,
    class_rows,
    density_rows,
    weight_bars,
)
from stc_core.figures.neurons import bin_map, neuron_map
from stc_core.interpret.neuron_order import MOST_CLUSTERED
from stc_core.interpret.neuron_table import (
    MOST_SINGLE,
    NeuronOrder,
    bin_of,
    binned,
    chosen_neurons,
    classes_of,
    neuron_names,
    page_of,
    weights_of,
)
from stc_core.poolings import POOLING_RULES
from stc_core.runs.run import Run
from stc_core.types import SITE_KINDS
from ui.cache.neuron_values import alike_ranks_of, values_of
from ui.cache.run_files import read
from ui.cache.texts import run_key, texts_of
from ui.charts.chart import chart
from ui.shell.widgets import FIELD
from ui.state.clicks import click_neuron
from ui.state.navigation import context, pick, remember
from ui.state.stale_events import news, show
from ui.state.stepper import step_button
from ui.state.steps import steps, steps_around

IMPORTANCE_OF_ALL = "importance, all classes"
_ORDERS: dict[NeuronOrder, str] = {
    "importance": "importance",
    "weight": "weight",
    "alike": "likeness",
}
ORDER_HELP = (
    "Weight: for the class that is chosen under *Colour by*. Likeness: neurons whose "
    "weights over all classes go the same way stand side by side (hierarchical "
    f"clustering of the first {MOST_CLUSTERED:,} of a site; others join the nearest)."
)
MOST_LISTED = 200
"""So many neurons the list offers at once: 5,000 take a browser half a second."""
LISTED_HELP = (
    f"The {MOST_LISTED} beside this one in the order of the map. Of any other, type "
    "the name as it is written here, or click its square."
)
_SIGNS = "Blue: for the class. Orange: against it."
WEIGHT_HELP = (
    "How much the logit of the class changes when the neuron is one standard deviation "
    f"more active. {_SIGNS}"
)
DENSITY_HELP = (
    "Each row is as high as its own peak. A tick is the median; a class of fewer than "
    f"{FEW} texts is drawn text by text."
)


class Filters(NamedTuple):
    """What is asked for: of a run the same neurons in the same order each time."""

    kind: str | None
    pooling: str | None
    layer: int | None
    label: str | None
    against: str | None
    order: NeuronOrder


class _Shown(NamedTuple):
    """The neurons that pass the filters, in their order."""

    frame: pd.DataFrame
    by: Filters

    @property
    def label(self) -> str | None:
        return self.by.label

    @property
    def colours(self) -> dict[str, str | None]:
        return {"label": self.by.label, "against": self.by.against}

    @property
    def numbers(self) -> list[int]:
        return self.frame["neuron"].tolist()


def _classes(neurons: pd.DataFrame) -> tuple[str | None, str | None]:
    """The class that colours the neurons, and the one that it is compared with."""
    names, against = classes_of(neurons), None
    label = pick(
        "label",
        "Colour by",
        [None, *names],
        format_func=lambda name: name or IMPORTANCE_OF_ALL,
        placeholder=IMPORTANCE_OF_ALL,
        width=230,
    )
    if label is not None and len(names) > 1:
        against = pick(
            "against",
            "Less the weight for",
            [None, *(name for name in names if name != label)],
            format_func=lambda name: name or "–",
            placeholder="–",
            width=190,
            help="Compare two classes: blue speaks for the first, orange for this.",
        )
    return label, against


def order_of(label: str | None, *, row: Any) -> NeuronOrder:
    """How the neurons of a site are ordered; by a weight only if a class is chosen."""
    known = [one for one in _ORDERS if one != "weight" or label is not None]
    return pick(
        "order",
        "Sort a site by",
        known,
        widget=row.segmented_control,
        required=True,
        format_func=lambda one: _ORDERS[one],
        key="neuron_order",
        help=ORDER_HELP,
    )


def filters(run: Run) -> _Shown:
    """The neurons to show in their order, and the class that colours them."""
    neurons = read(run, "neurons")
    row = st.container(horizontal=True, vertical_alignment="top", gap="medium")
    with row:
        label, against = _classes(neurons)
    with row.container(width=110, height=FIELD, border=False):
        layer = pick(
            "layer",
            "Layer",
            [None, *sorted(int(one) for one in neurons["layer"].unique())],
            format_func=lambda one: "all" if one is None else str(one),
            placeholder="all",
        )
    # A row of its own: one that breaks when its widgets come moves the map below it.
    row = st.container(horizontal=True, vertical_alignment="top", gap="medium")
    known = {name: set(neurons[name].unique()) for name in ("kind", "pooling")}
    kind = pick(
        "kind",
        "Read from",
        [kind for kind in SITE_KINDS if kind in known["kind"]],
        widget=row.pills,
        optional=True,
        format_func=lambda kind: SITE_KINDS[kind],
    )
    pooling = pick(
        "pooling",
        "Pooled by",
        [name for name in POOLING_RULES if name in known["pooling"]],
        widget=row.pills,
        optional=True,
    )
    order = order_of(label, row=row.container(height=FIELD, border=False))
    by = Filters(kind, pooling, layer, label, against, order)
    ranks = alike_ranks_of(run) if order == "alike" else None
    return _Shown(chosen_neurons(neurons, **by._asdict(), ranks=ranks), by)


def map_of(run: Run, shown: _Shown) -> None:
    """A square for each neuron; of very many, first for some of a site, then pages."""
    frame, total = shown.frame, len(read(run, "neurons"))
    one_site = len(frame["site"].unique()) == 1
    bins = len(frame) > MOST_SINGLE and not one_site
    said = f"{len(frame):,} of the {total:,} neurons that were kept"
    if bins:
        drawn = _binned(*run_key(run), shown.by, shown)
        most = int(np.max(drawn["n"].to_numpy()))
        said += f", a square for {most:,} of a site, the first layer at the bottom"
        here = bin_of(frame, drawn, _picked(run, shown))
        figure = _bin_map(*run_key(run), shown.by, here, drawn, shown)
    else:
        drawn = _page(run, shown) if len(frame) > MOST_SINGLE else frame
        said += "" if one_site else ", the first layer at the bottom"
        figure = neuron_map(drawn, picked=_picked(run, shown), **shown.colours)
    alt = "The selected neurons by site, coloured by weight or importance"
    chart(figure, "neuron_chart", alt=alt, turn=click_neuron)
    leads = "go down to its site" if bins else "see that neuron below"
    st.caption(f"{said}. {meaning(shown)} Click a square to {leads}.")


# While one goes from neuron to neuron the bins stay, and mostly the one that is marked:
# to make their map anew is a tenth of what the server does for a click.


@st.cache_resource(max_entries=8, show_spinner=False)
def _binned(folder: str, written: int, by: Filters, _shown: _Shown) -> pd.DataFrame:
    return binned(_shown.frame, **_shown.colours)


@st.cache_resource(max_entries=32, show_spinner=False)
def _bin_map(
    folder: str,
    written: int,
    by: Filters,
    row: int | None,
    _bins: pd.DataFrame,
    _shown: _Shown,
) -> go.Figure:
    return bin_map(_bins, row=row, **_shown.colours)


def meaning(shown: _Shown) -> str:
    """What the colours of the map say."""
    if shown.label is None:
        return "The stronger the colour, the more important."
    if shown.by.against is None:
        return _SIGNS
    return "Blue: more for the first class. Orange: more for the second."


def _page(run: Run, shown: _Shown) -> pd.DataFrame:
    """Of a site with very many neurons those beside the one that is looked at."""
    n = len(shown.frame)
    starts = list(range(0, n, MOST_SINGLE))
    here = page_of(shown.numbers, _picked(run, shown))
    show("neuron_page", here)

    def turn(at: int) -> None:
        remember(neuron=shown.numbers[starts[at]])

    st.segmented_control(
        "Neurons of this site by rank",
        range(len(starts)),
        required=True,
        key="neuron_page",
        on_change=news("neuron_page", turn),
        format_func=lambda at: (
            f"{starts[at] + 1:,}–{min(starts[at] + MOST_SINGLE, n):,}"
        ),
    )
    return shown.frame.iloc[starts[here] : starts[here] + MOST_SINGLE].reset_index(
        drop=True
    )


def _picked(run: Run, shown: _Shown) -> int:
    """The neuron of the context, or else the most important one shown."""
    held = context().neuron
    if held is not None and held in read(run, "neurons")["neuron"].to_numpy():
        return held
    frame = shown.frame
    return int(frame.loc[frame["importance"].idxmax(), "neuron"])


def chooser(run: Run, shown: _Shown) -> int:
    """Previous, next, or one by name, and where it stands in the order shown."""
    now, order = _picked(run, shown), shown.numbers
    names = neuron_names(read(run, "neurons"))
    held = context().neuron
    if held is not None and held not in names:
        st.info(f"This run kept no neuron {held}. Here is the first of the map.")
    found = steps(order, now)
    options = order if now in order else [now, *order]
    more: dict[str, Any] = {}
    if len(options) > MOST_LISTED:
        options = steps_around(options, now, MOST_LISTED)
        more = {"typed": partial(by_name, names), "help": LISTED_HELP}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        step_button("Previous", "neuron", found)
        chosen = pick(
            "neuron",
            "Neuron",
            options,
            default=now,
            format_func=lambda one: names.get(one, one),
            width="stretch",
            **more,
        )
        step_button("Next", "neuron", found)
    st.caption(f"{found.said}, in the order of the map")
    return chosen


def by_name(names: dict[int, str], text: str) -> int | None:
    """The neuron that is called so; says so if there is none."""
    wanted = " ".join(text.split()).casefold()
    for number, name in names.items():
        if name.casefold() == wanted:
            return number
    st.toast(f"No neuron of this run is called “{text}”.", icon=":material/search_off:")
    return None


def close_up(run: Run, neuron: dict[str, Any], label: str | None) -> None:
    """The weights and the activations by class of one neuron."""
    weights = weights_of(neuron)
    values = values_of(run, neuron["neuron"])
    classes = class_rows(weights, label)
    draw = headings()
    bars, activity = st.columns(2, gap="large")
    with bars:
        figure = weight_bars(weights, classes)
        chart(figure, "weights", alt="Signed weight per class")
        if len(weights) > len(classes):
            st.caption(
                f"The {MOST_ACTIVITY_CLASSES} strongest of {len(weights)} classes."
            )
    with activity:
        rows = density_rows if draw == "density" else activation_rows
        texts = texts_of(run)
        held, marks = context().example, {}
        if held is not None and held < len(values):
            marks = {texts.place(held): float(values[held])}
        figure = rows(values, texts.labels, classes, marks=marks)
        chart(figure, "density", alt="Activation by class")


def headings() -> str:
    """Those of the two charts, and how the second is drawn."""
    first, second = st.columns(2, gap="large", vertical_alignment="center")
    first.markdown("**Weight for each class**", help=WEIGHT_HELP)
    with second.container(horizontal=True, vertical_alignment="center"):
        st.markdown("**How active, by class**", help=DENSITY_HELP, width="stretch")
        return st.segmented_control(
            "Draw as",
            ["density", "counts"],
            default="density",
            required=True,
            key="activity",
            label_visibility="collapsed",
        )
