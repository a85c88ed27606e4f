"""The page Layers, below its title."""

import streamlit as st

from stc_core.analysis.summary import layer_story
from stc_core.runs.layout import RunFile
from ui.cache.probes import compared_probes
from ui.cache.run_files import read
from ui.layers.cheaper import CHEAPER_BY, show_cheaper, show_trade
from ui.layers.curves import (
    ALONE,
    choose_score,
    controls,
    held_metric,
    other_note,
    parent_note,
    readable_probes,
    show_attention,
    show_curves,
    show_numbers,
    show_spread,
)
from ui.layers.picked import show_layer
from ui.shell.frame import pick_run
from ui.shell.page_list import CURVES
from ui.shell.report_button import report_button
from ui.state.navigation import tabs

_TABS = {CURVES: "Layer by layer", "cheaper": "Fewer neurons, fewer layers"}


def show_page() -> None:
    """Draw the page below its title."""
    run = pick_run()
    probes, metrics = read(run, "probes"), read(run, "metrics")
    other_note(metrics)
    parent_note(metrics)
    # Drawn above the controls that it depends on, so that they do not move.
    metric = held_metric(run)
    compared = compared_probes(run, metric)
    sentences = layer_story(
        probes, read(run, "curves"), metrics, metric=metric, compared=compared
    )
    with st.container(border=True):
        st.markdown("\n".join(f"- {sentence}" for sentence in sentences))
    tab, container = tabs("layers", _TABS)
    with container:
        if tab == CURVES:
            show_attention(metrics)
            show_curves(run, probes, controls(run, probes), compared)
            show_layer(run, probes, metric, compared)
            show_spread(run)
            name = f"{run.folder.name}_probes"
            show_numbers(readable_probes(probes), name, probes, note=ALONE)
        else:
            choose_score(run, CHEAPER_BY)
            show_trade(run, metric)
            show_cheaper(run, metric)
            if run.has(RunFile.FRONTIER):
                options = read(run, "frontier")
                show_numbers(options, f"{run.folder.name}_cheaper", options)
    report_button(run)
