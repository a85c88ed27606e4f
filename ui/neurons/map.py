"""The map of the kept neurons, the choice of one of them, and its weights."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from stc_core.figures.neurons import bin_map, neuron_map
from stc_core.interpret.neuron_order import MOST_CLUSTERED
from stc_core.interpret.neuron_table import (
    CHOSEN,
    IMPORTANCE,
    MOST_SINGLE,
    USED,
    NeuronOrder,
    addresses_of,
    bin_of,
    binned,
    chosen_neurons,
    classes_of,
    neuron_names,
    number_at,
    page_of,
    strength,
)
from stc_core.poolings import POOLING_RULES
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from stc_core.types import SITE_KINDS
from ui.cache.effects import usage_of_neurons
from ui.cache.neuron_values import address_of, alike_ranks_of
from ui.cache.run_files import read
from ui.cache.texts import run_key
from ui.charts.chart import chart
from ui.shell.messages import escape
from ui.shell.widgets import FIELD_LINE
from ui.state.clicks import click_neuron
from ui.state.navigation import context, pick, remember
from ui.state.stale_events import set_widget, unless_stale
from ui.state.stepper import step_button
from ui.state.steps import steps, steps_around

IMPORTANCE_OF_ALL = "by importance"
NO_OTHER_CLASS = "compare with class"
ALL_LAYERS = "all layers"
_ORDERS: dict[NeuronOrder, str] = {
    "importance": "importance",
    "use": "use",
    "chosen": "stability",
    "weight": "weight",
    "alike": "similarity",
}
ORDER_HELP = (
    "Importance: what the classifier reads. Use: what it loses if the model gives the "
    "neuron its mean (measured in the panel *Use*). Stability: how often selections on "
    "other rows choose it. Weight: the weight for the class chosen under *Colour by*. "
    "Similarity: neurons with similar weights over all classes stand side by side "
    f"(hierarchical clustering of the first {MOST_CLUSTERED:,} of a site; "
    "each other one joins the nearest)."
)
MOST_LISTED = 200
"""The most neurons in the list at once: 5,000 would take a browser half a second."""
LISTED_HELP = (
    f"The list holds {MOST_LISTED} neurons around this one. For any other neuron, type "
    "its full name or click its square."
)
_SIGNS = "Blue: for the class. Orange: against it."


class Filters(NamedTuple):
    """The chosen filters; for one run they fix the neurons shown and their order."""

    kind: str | None
    pooling: str | None
    layer: int | None
    label: str | None
    against: str | None
    order: NeuronOrder


class _Shown(NamedTuple):
    """The neurons that pass the filters `by`, in their order."""

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
        """The neurons in the order of the map."""
        return self.frame["neuron"].tolist()

    @property
    def ranked(self) -> pd.DataFrame:
        """The neurons from the strongest on, or in the order of the map if alike."""
        if self.by.order == "alike":
            return self.frame
        by = strength(self.frame, **self.colours)
        if self.by.order in ("use", "chosen"):
            column = USED if self.by.order == "use" else CHOSEN
            by = self.frame[column].to_numpy(float)
            important = self.frame[IMPORTANCE].to_numpy(float)
            return self.frame.iloc[np.lexsort((-important, -by))]
        return self.frame.iloc[np.argsort(-by, kind="stable")]


def _classes(neurons: pd.DataFrame) -> tuple[str | None, str | None]:
    """Draw the choice of colours; return the class, and the class compared with it.

    A choice lets go of the picked neuron: the strongest one for the class is shown.
    """
    names, against = classes_of(neurons), None
    label = pick(
        "label",
        "Colour by",
        [None, *names],
        format_func=lambda name: name or IMPORTANCE_OF_ALL,
        placeholder=IMPORTANCE_OF_ALL,
        width=230,
        clears=("neuron",),
        label_visibility="collapsed",
    )
    if label is not None and len(names) > 1:
        against = pick(
            "against",
            "Compare with class",
            [None, *(name for name in names if name != label)],
            format_func=lambda name: f"minus {name}" if name else NO_OTHER_CLASS,
            placeholder=NO_OTHER_CLASS,
            width=210,
            clears=("neuron",),
            label_visibility="collapsed",
        )
    return label, against


def order_of(
    label: str | None, *, row: Any, used: bool = False, repeated: bool = False
) -> NeuronOrder:
    """Draw the choice of the order in a site; return it.

    The order by weight is offered only if a class is chosen, that by use only if the
    run knows what is used, and that by stability if the selection was `repeated`.
    """
    offered = {"weight": label is not None, "use": used, "chosen": repeated}
    known = [order for order in _ORDERS if offered.get(order, True)]
    return pick(
        "order",
        "Sort a site by",
        known,
        widget=row.segmented_control,
        required=True,
        format_func=lambda order: _ORDERS[order],
        key="neuron_order",
        help=ORDER_HELP,
    )


def filters(run: Run) -> _Shown:
    """Draw the filters in one line; return the neurons that pass, and their colours."""
    neurons = read(run, "neurons")
    row = st.container(horizontal=True, vertical_alignment="center", gap="small")
    with row:
        label, against = _classes(neurons)
    with row.container(width=130, height=FIELD_LINE, border=False):
        layer = pick(
            "layer",
            "Layer",
            [None, *sorted(int(number) for number in neurons["layer"].unique())],
            format_func=lambda layer: ALL_LAYERS if layer is None else f"layer {layer}",
            placeholder=ALL_LAYERS,
            label_visibility="collapsed",
        )
    more = row.popover("Filters", icon=":material/tune:")
    known = {name: set(neurons[name].unique()) for name in ("kind", "pooling")}
    kind = pick(
        "kind",
        "Read from",
        [kind for kind in SITE_KINDS if kind in known["kind"]],
        widget=more.pills,
        optional=True,
        format_func=lambda kind: SITE_KINDS[kind],
    )
    pooling = pick(
        "pooling",
        "Pooled by",
        [name for name in POOLING_RULES if name in known["pooling"]],
        widget=more.pills,
        optional=True,
    )
    usage = usage_of_neurons(run)
    if usage is not None:
        neurons = neurons.assign(**{USED: usage["effect"].to_numpy()})
    if repeated := run.has(RunFile.STABILITY):
        neurons = neurons.assign(**{CHOSEN: _least_chosen(run)})
    order = order_of(label, row=more, used=usage is not None, repeated=repeated)
    by = Filters(kind, pooling, layer, label, against, order)
    ranks = alike_ranks_of(run) if order == "alike" else None
    return _Shown(chosen_neurons(neurons, **by._asdict(), ranks=ranks), by)


def _least_chosen(run: Run) -> np.ndarray:
    """How often each neuron is chosen, by the kind of repeats that chooses it least."""
    shares = read(run, "neuron_stability")[["frequency", "bootstrap", "seeds"]]
    return shares.min(axis=1).to_numpy(float)  # older runs have halves alone


def show_map(run: Run, shown: _Shown) -> None:
    """Draw a square for each neuron.

    If there are very many, a square first stands for several neurons of a site; the
    map of one site then has pages.
    """
    frame, total = shown.frame, len(read(run, "neurons"))
    one_site = len(frame["site"].unique()) == 1
    bins = len(frame) > MOST_SINGLE and not one_site
    caption = f"{len(frame):,} of the {total:,} kept neurons"
    if bins:
        drawn = _binned(*run_key(run), shown.by, shown)
        most = int(np.max(drawn["n"].to_numpy()))
        caption += f", up to {most:,} of a site in one square, the first layer lowest"
        marked = bin_of(frame, drawn, _picked(run, shown))
        figure = _bin_map(*run_key(run), shown.by, marked, drawn, shown)
    else:
        drawn = _page(run, shown) if len(frame) > MOST_SINGLE else frame
        caption += "" if one_site else ", the first layer lowest"
        figure = neuron_map(drawn, picked=_picked(run, shown), **shown.colours)
    alt = "The selected neurons by site, coloured by weight or importance"
    chart(figure, "neuron_chart", alt=alt, turn=click_neuron)
    effect = "see the neurons of its site" if bins else "see that neuron beside the map"
    st.caption(f"{caption}. {meaning(shown)} Click a square to {effect}.")


# The bins, and mostly the marked bin, stay the same while the user goes from neuron to
# neuron. Drawing their map again would be a tenth of the server's work for a click.


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
    """The meaning of the colours of the map, in words."""
    if shown.label is None:
        return "Stronger colour: more important."
    if shown.by.against is None:
        return _SIGNS
    return "Blue: more for the first class. Orange: more for the second."


def _page(run: Run, shown: _Shown) -> pd.DataFrame:
    """Draw the choice of a page of a site; return the neurons of that page.

    It is the page with the picked neuron.
    """
    n = len(shown.frame)
    starts = list(range(0, n, MOST_SINGLE))
    page = page_of(shown.numbers, _picked(run, shown))
    set_widget("neuron_page", page)

    def turn(at: int) -> None:
        remember(neuron=address_of(run, shown.numbers[starts[at]]))

    st.segmented_control(
        "Neurons of this site by rank",
        range(len(starts)),
        required=True,
        key="neuron_page",
        on_change=unless_stale("neuron_page", turn),
        format_func=lambda at: (
            f"{starts[at] + 1:,}–{min(starts[at] + MOST_SINGLE, n):,}"
        ),
    )
    rows = slice(starts[page], starts[page] + MOST_SINGLE)
    return shown.frame.iloc[rows].reset_index(drop=True)


def _picked(run: Run, shown: _Shown) -> int:
    """The neuron of the context; if it names none, the strongest neuron shown."""
    address = context().neuron
    number = None if address is None else number_at(read(run, "neurons"), address)
    return int(shown.ranked["neuron"].iloc[0]) if number is None else number


def choose_neuron(run: Run, shown: _Shown) -> int:
    """Draw the choice of a neuron (previous, next, by name); return its number."""
    neurons, now = read(run, "neurons"), _picked(run, shown)
    wanted = context().neuron
    if wanted is not None and number_at(neurons, wanted) is None:
        st.info(
            f"This run kept no neuron {escape(wanted)}. The strongest one is shown."
        )
    names = dict(
        zip(addresses_of(neurons), neuron_names(neurons).values(), strict=True)
    )
    here, order = address_of(run, now), addresses_of(shown.ranked)
    around = steps(order, here)
    options = order if here in order else [here, *order]
    more: dict[str, Any] = {}
    if len(options) > MOST_LISTED:
        options = steps_around(options, here, MOST_LISTED)
        more = {"typed": partial(by_name, names), "help": LISTED_HELP}
    st.subheader(names[here], anchor=False)
    st.caption(f"{around.position}, {_order_in_words(shown.by)}")
    with st.container(horizontal=True, gap="small"):
        step_button("Previous", "neuron", around)
        step_button("Next", "neuron", around)
    pick(
        "neuron",
        "Neuron",
        options,
        default=here,
        format_func=lambda address: names.get(address, address),
        label_visibility="collapsed",
        **more,
    )
    return now


def _order_in_words(by: Filters) -> str:
    if by.order == "alike":
        return "in the order of the map"
    if by.order == "use":
        return "from the most used on"
    if by.order == "chosen":
        return "from the most often chosen on"
    return "by importance" if by.label is None else "from the highest weight on"


def by_name(names: Mapping[str, str], text: str) -> str | None:
    """The address of the neuron named `text`; if there is none, a message and None."""
    wanted = " ".join(text.split()).casefold()
    for address, name in names.items():
        if wanted in (name.casefold(), address.casefold()):
            return address
    st.toast(f"No neuron of this run is called “{text}”.", icon=":material/search_off:")
    return None
