"""The page Layers, below its title."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from stc_core.analysis.summary import LayerFinding, layer_findings
from stc_core.analysis.verdict import result_verdict
from stc_core.runs.layout import RunFile
from stc_core.runs.metrics import RunMetrics
from stc_core.runs.run import Run
from ui.cache.probes import compared_probes
from ui.cache.run_files import read
from ui.layers.cheaper import show_cheaper, show_trade
from ui.layers.curves import (
    ALONE,
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
from ui.shell.verdict import verdict_line
from ui.shell.widgets import FIGURE_AND_TEXT
from ui.state.navigation import tabs

_TABS = {CURVES: "Layer by layer", "cheaper": "Fewer neurons, fewer layers"}


def show_page() -> None:
    """Draw the page below its title."""
    run = pick_run()
    probes, metrics = read(run, "probes"), read(run, "metrics")
    verdict_line(run)
    other_note(metrics)
    tab, container = tabs("layers", _TABS)
    with container:
        if tab == CURVES:
            _layer_by_layer(run, probes, metrics)
        else:
            show_cheaper(run)
            show_trade(run, held_metric(run))
            if run.has(RunFile.FRONTIER):
                options = read(run, "frontier")
                show_numbers(options, f"{run.folder.name}_cheaper", options)


def _layer_by_layer(run: Run, probes: pd.DataFrame, metrics: RunMetrics) -> None:
    """Draw the curves, and beside them what they show and the layer that was picked."""
    wish = controls(run, probes)
    metric = held_metric(run)
    compared = compared_probes(run, metric)
    left, right = st.columns(FIGURE_AND_TEXT, gap="medium")
    with left:
        show_curves(run, probes, wish, compared)
    with right:
        findings = layer_findings(
            probes, read(run, "curves"), metrics, metric=metric, compared=compared
        )
        show_layer_findings(findings, without=result_verdict(metrics).claim)
        show_layer(run, probes, metric, compared)
        parent_note(metrics)
    show_attention(metrics)
    show_spread(run)
    name = f"{run.folder.name}_probes"
    show_numbers(readable_probes(probes), name, probes, note=ALONE)


def show_layer_findings(findings: Sequence[LayerFinding], *, without: str) -> None:
    """Draw each finding as a line, and the whole sentences for who asks for them.

    The line `without` is left out, as the page shows it elsewhere.
    """
    lines = [finding.line for finding in findings if finding.line != without]
    st.markdown("\n".join(f"- :small[{line}]" for line in lines))
    with st.popover("These findings in full", icon=":material/notes:", type="tertiary"):
        st.markdown("\n".join(f"- {finding.sentence}" for finding in findings))
