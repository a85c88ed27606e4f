"""The place of a run that is looked at, what was kept there, and why so much."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from stc_core.analysis import shrink_options
from stc_core.analysis.frontier_reasons import nearly, points, reasons
from stc_core.analysis.layer_scores import best_probes
from stc_core.display import percent
from stc_core.metrics.scores import METRICS, Metric
from stc_core.runs.run import Run
from stc_core.selection.frontier import Option
from ui.cache.run_files import read
from ui.shell.page_list import NEURONS
from ui.state.navigation import context, link, pick, remember
from ui.state.stale_events import news, show

NOWHERE = "Choose a layer, or click a point above, to see what was kept there."


def show_layer(run: Run, probes: pd.DataFrame, metric: Metric = "accuracy") -> None:
    """The layer and probe that are looked at, what is known of them, and their neurons.

    The choices do what a click on the curves does, for those who use no mouse. There
    are always two lines, so that a choice moves nothing below.
    """
    best = best_probes(probes)
    layers = sorted({int(layer) for layer in best["layer"]})
    with st.container(border=True):
        row = st.container(horizontal=True, vertical_alignment="bottom")
        with row:
            pick(
                "layer",
                "Layer to look at",
                [None, *layers],
                format_func=lambda one: "none" if one is None else str(one),
                placeholder="none",
                width=130,
            )
            there = best.loc[best["layer"] == context().layer]
            place = probe_choice(there)
            st.button(
                "Clear",
                key="clear_layer",
                disabled=context().layer is None,
                on_click=lambda: remember(layer=None, kind=None, pooling=None),
            )
        held = context().layer
        if held is not None and there.empty:
            known = f"{layers[0]} to {layers[-1]}"
            st.markdown(f"This run has no probe of layer {held}, but of {known}.")
        elif there.empty:
            st.markdown(NOWHERE)
        else:
            _sentences(run, there, place, metric, row=row)


def probe_choice(there: pd.DataFrame) -> tuple[str, str] | None:
    """The kind and pooling of the probe that the context names; None: the best one."""
    known = list(zip(there["kind"], there["pooling"], strict=True))
    now = context()
    held = (now.kind, now.pooling)
    show("probe_choice", held if held in known else None)

    def write(value: tuple[str, str] | None) -> None:
        kind, pooling = value or (None, None)
        remember(kind=kind, pooling=pooling)

    return st.selectbox(
        "Probe",
        [None, *known],
        format_func=lambda one: " · ".join(one) if one else "the best",
        placeholder="the best",
        key="probe_choice",
        on_change=news("probe_choice", write),
        disabled=there.empty,
        width=150,
    )


def _sentences(
    run: Run,
    there: pd.DataFrame,
    place: tuple[str, str] | None,
    metric: Metric,
    *,
    row: Any,
) -> None:
    """The score of the probe, how many of its neurons were kept, and where they are."""
    which = "best probe"
    if place is not None:
        kind, pooling = place
        there = there.loc[(there["kind"] == kind) & (there["pooling"] == pooling)]
        which = "probe"
    top = there.loc[there[metric].idxmax()]
    n, said = _kept(run, which, top)
    st.markdown(
        f"**Layer {top['layer']}** · {which} `{top['site']}` by {top['pooling']}: "
        f"{METRICS[metric]} {percent(top[metric])} on validation{said}"
    )
    if n:
        with row:
            link(NEURONS, "See its neurons", icon=":material/grain:")


def _kept(run: Run, which: str, top: pd.Series) -> tuple[int, str]:
    """How many of the kept neurons are at the place looked at, and in words."""
    if not run.has("neurons.parquet"):
        return 0, ""
    neurons = read(run, "neurons")
    here = neurons["layer"] == top["layer"]
    if which == "probe":
        here &= (neurons["kind"] == top["kind"]) & (
            neurons["pooling"] == top["pooling"]
        )
    n = int(here.sum())
    many = f"{n:,} of the {len(neurons):,} neurons that were kept are here"
    return n, f" · {many if n else 'none of its neurons was kept'}"


def why_this(run: Run, frontier: pd.DataFrame) -> list[Option]:
    """Says why the run has the classifier it has; the cheaper one that comes near."""
    options, n = shrink_options.options_in(frontier), int(frontier["n"].iloc[0])
    chosen = options[int(frontier["chosen"].to_numpy().argmax())]
    st.caption(" ".join(reasons(options, chosen, run.config, n=n)))
    return nearly(options, chosen, run.config)


def way_to(near: Sequence[Option], now: tuple[int, int]) -> None:
    """A button that turns the dials to the cheaper one, or a word that there is none.

    `now` is the layer and the number of neurons that they show.
    """
    within = f"within {points(shrink_options.TOLERANCE)} of the best"
    if not near:
        st.caption(f"No cheaper point is {within}.")
    for one in near:
        where = {"depth": one.layer, "size": one.neurons}
        st.button(
            f"Cheapest {within}",
            key="near",
            icon=":material/savings:",
            disabled=(one.layer, one.neurons) == now,
            on_click=lambda where=where: remember(**where),
        )
