"""The chosen layer or probe, its kept neurons, and the reasons for this classifier."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from stc_core.analysis import frontier_options
from stc_core.analysis.best_probe import ComparedProbes, best_among
from stc_core.analysis.frontier_options import (
    compares_depths,
    enough_in_words,
    near_options,
    points,
    reasons,
)
from stc_core.analysis.layer_scores import best_probes
from stc_core.analysis.summary import corrected
from stc_core.data.goal import Goal
from stc_core.display import percent
from stc_core.metrics.best_of import BestOf
from stc_core.metrics.scores import METRICS, Metric
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from stc_core.selection.frontier import Option
from ui.cache.run_files import read
from ui.shell.page_list import NEURONS
from ui.state.navigation import context, link, pick, remember
from ui.state.stale_events import set_widget, unless_stale

NOWHERE = "Click a point, or choose its layer, to see which neurons were kept there."


def show_layer(
    run: Run,
    probes: pd.DataFrame,
    metric: Metric = "accuracy",
    compared: ComparedProbes | None = None,
) -> None:
    """Draw the choice of layer and probe, their score, and a link to their neurons.

    The choices do the same as a click on the curves, for users without a mouse. The
    box always has two lines, so that a choice does not move what is below.
    """
    best = best_probes(probes)
    layers = sorted({int(layer) for layer in best["layer"]})
    with st.container(border=True):
        row = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
        with row:
            pick(
                "layer",
                "Layer",
                [None, *layers],
                format_func=lambda layer: "none" if layer is None else str(layer),
                placeholder="none",
                width=90,
            )
            of_layer = best.loc[best["layer"] == context().layer]
            probe = probe_choice(of_layer)
            st.button(
                "Clear",
                key="clear_layer",
                disabled=context().layer is None,
                on_click=lambda: remember(layer=None, kind=None, pooling=None),
            )
        layer = context().layer
        if layer is not None and of_layer.empty:
            known = f"{layers[0]} to {layers[-1]}"
            st.markdown(
                f"This run has no probe of layer {layer}. It has probes of layers "
                f"{known}."
            )
        elif of_layer.empty:
            st.markdown(NOWHERE)
        else:
            _sentences(run, of_layer, probe, metric, compared=compared, row=row)


def probe_choice(of_layer: pd.DataFrame) -> tuple[str, str] | None:
    """Draw the choice of a probe; return its kind and pooling, None for the best."""
    known = list(zip(of_layer["kind"], of_layer["pooling"], strict=True))
    current = (context().kind, context().pooling)
    set_widget("probe_choice", current if current in known else None)

    def write(value: tuple[str, str] | None) -> None:
        kind, pooling = value or (None, None)
        remember(kind=kind, pooling=pooling)

    return st.selectbox(
        "Probe",
        [None, *known],
        format_func=lambda probe: " · ".join(probe) if probe else "the best",
        placeholder="the best",
        key="probe_choice",
        on_change=unless_stale("probe_choice", write),
        disabled=of_layer.empty,
        width=120,
    )


def _sentences(
    run: Run,
    of_layer: pd.DataFrame,
    probe: tuple[str, str] | None,
    metric: Metric,
    *,
    compared: ComparedProbes | None,
    row: Any,
) -> None:
    """Show the score of the probe, its number of kept neurons, and a link to them."""
    which, probes = "best probe", of_layer
    if probe is not None:
        kind, pooling = probe
        probes = of_layer.loc[
            (of_layer["kind"] == kind) & (of_layer["pooling"] == pooling)
        ]
        which = "probe"
    top = probes.loc[probes[metric].idxmax()]
    score = f"{METRICS[metric]} {percent(top[metric])} on validation, not corrected"
    if compared is not None:
        top, found = _best_here(compared, probes)
        score = corrected(found, metric)
    n, kept = _kept(run, which, top)
    st.markdown(
        f":small[**Layer {top['layer']}** · {which} `{top['site']}` by "
        f"{top['pooling']}: {score}{kept}]"
    )
    if n:
        with row:
            link(NEURONS, "See its neurons", icon=":material/grain:")


def _best_here(
    compared: ComparedProbes, probes: pd.DataFrame
) -> tuple[pd.Series, BestOf]:
    """The best probe, of every C, at the places of `probes`, and its true score."""
    places = set(zip(probes["site"], probes["pooling"], strict=True))
    every = zip(compared.probes["site"], compared.probes["pooling"], strict=True)
    here = np.array([place in places for place in every])
    found = best_among(compared, here)
    return compared.probes.loc[here].iloc[found.at], found


def _kept(run: Run, which: str, top: pd.Series) -> tuple[int, str]:
    """The number of kept neurons in the chosen layer or probe, also in words."""
    if not run.has(RunFile.NEURONS):
        return 0, ""
    neurons = read(run, "neurons")
    is_here = neurons["layer"] == top["layer"]
    if which == "probe":
        is_here &= (neurons["kind"] == top["kind"]) & (
            neurons["pooling"] == top["pooling"]
        )
    n = int(is_here.sum())
    share = f"{n:,} of the {len(neurons):,} kept neurons are here"
    return n, f" · {share if n else 'none of its neurons was kept'}"


def show_reasons(run: Run, frontier: pd.DataFrame) -> list[Option]:
    """Show why the run has this classifier; return the cheaper options that come near.

    The list is empty if no cheaper option is near enough.
    """
    options = frontier_options.options_in(frontier, run.goal)
    n = int(frontier["n"].iloc[0])
    chosen = options[int(frontier["chosen"].to_numpy().argmax())]
    compared = compares_depths(frontier)
    said = reasons(options, chosen, run.config, run.goal, n=n, compared=compared)
    st.caption(" ".join(said))
    return near_options(options, chosen)


def near_option_button(
    near: Sequence[Option], now: tuple[int, int], frontier: pd.DataFrame, goal: Goal
) -> None:
    """Draw a button that sets the sliders to the cheaper option in `near`.

    If `near` is empty, say that there is no such option. `now` holds the layer and the
    number of neurons that the sliders show.
    """
    within = f"within {points(frontier_options.TOLERANCE)} of the best"
    if not near:
        st.caption(f"No cheaper point is {within}.")
    for option in near:
        target = {"depth": option.layer, "size": option.neurons}
        st.button(
            enough_in_words(option, frontier, goal),
            help=f"The cheapest classifier whose score on held-out texts is {within}.",
            key="near",
            icon=":material/savings:",
            disabled=(option.layer, option.neurons) == now,
            on_click=lambda target=target: remember(**target),
        )
