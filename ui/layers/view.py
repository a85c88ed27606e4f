"""The page Layers, below its title."""

import streamlit as st

from stc_core.analysis.summary import layer_story
from ui.cache.run_files import read
from ui.layers.cheaper import CHEAPER_BY, cheaper, trade
from ui.layers.curves import (
    attended,
    choose_score,
    controls,
    curves,
    held_metric,
    numbers,
    other_note,
    parent_note,
    readable,
    show_spread,
)
from ui.layers.picked import show_layer
from ui.shell.frame import pick_run
from ui.shell.page_list import CURVES
from ui.shell.report_button import report_button
from ui.state.navigation import tabs

_TABS = {CURVES: "Layer by layer", "cheaper": "Fewer neurons, fewer layers"}


def show_page() -> None:
    """What stands below the title."""
    run = pick_run()
    probes, metrics = read(run, "probes"), read(run, "metrics")
    other_note(metrics)
    parent_note(metrics)
    # Written before the controls that it depends on, so that they do not jump.
    metric = held_metric()
    said = layer_story(probes, read(run, "curves"), metrics, metric=metric)
    with st.container(border=True):
        st.markdown("\n".join(f"- {sentence}" for sentence in said))
    tab, place = tabs("layers", _TABS)
    with place:
        if tab == CURVES:
            attended(metrics)
            curves(run, probes, controls(run, probes))
            show_layer(run, probes, metric)
            show_spread(run)
            numbers(readable(probes), f"{run.folder.name}_probes", probes)
        else:
            choose_score(CHEAPER_BY)
            trade(run, metric)
            cheaper(run, metric)
            if run.has("frontier.parquet"):
                options = read(run, "frontier")
                numbers(options, f"{run.folder.name}_cheaper", options)
    report_button(run)
