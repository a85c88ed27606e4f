"""Layers: where the labels can be read, with how many neurons, at which depth."""

from typing import Any

import pandas as pd
import streamlit as st

import ui
from stc_core.axes import KINDS, POOLINGS
from stc_core.clicks import click_layer
from stc_core.figures_adapt import nu_curve
from stc_core.figures_layers import (
    KIND_NAMES,
    METRICS,
    best_probes,
    layer_curves,
    mute_places,
    reference_lines,
)
from stc_core.figures_trade import depth_curve, neuron_curve
from stc_core.run import Run
from stc_core.story import layer_story
from stc_core.wording import percent

SHOWN = ["site", "pooling", "C", "accuracy", "accuracy_low", "accuracy_high"]
SHOWN += ["macro_f1", "n", "nonzeros", "gap"]
NOTE = (
    "Points: the best sparse probe of each site and pooling on **{n:,} validation "
    "texts**{bars}. Lines: results on the **{n_test:,} test texts**, which chose "
    "nothing; a point picked as the best of many is a little flattered. Click a point "
    "to see what was kept there."
)


NU = (
    "ν = spread inside the classes over distance between them, by layer, on the "
    "training texts: lower is better, ★ is the least. No probe is fitted for it."
)


def controls(probes: pd.DataFrame) -> dict[str, Any]:
    """Which curves to draw; no choice means all."""
    row = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
    names = [name for name in POOLINGS if name in set(probes["pooling"])]
    names += sorted(set(probes["pooling"]) - set(POOLINGS))
    here = [kind for kind in KINDS if kind in set(probes["kind"])]
    return {
        "metric": row.segmented_control(
            "Score",
            list(METRICS),
            default="accuracy",
            required=True,
            format_func=lambda name: METRICS[name][0].upper() + METRICS[name][1:],
            key="metric",
        ),
        "kinds": row.pills(
            "Read from",
            here,
            selection_mode="multi",
            format_func=lambda name: KIND_NAMES[name],
            key="layer_kinds",
        )
        or here,
        "poolings": row.pills(
            "Pooled by", names, selection_mode="multi", key="layer_poolings"
        )
        or names,
        "lines": row.toggle("Baselines", value=True, key="baselines"),
    }


def curves(probes: pd.DataFrame, metrics: dict[str, Any], wish: dict[str, Any]) -> None:
    kept = probes["kind"].isin(wish["kinds"]) & probes["pooling"].isin(wish["poolings"])
    lines = reference_lines(metrics, wish["metric"]) if wish["lines"] else []
    figure = layer_curves(
        probes.loc[kept],
        lines,
        metric=wish["metric"],
        layer_names=metrics["backbone"]["layer_names"],
        picked=ui.context().layer,
    )
    st.plotly_chart(
        figure,
        key="layer_chart",
        on_select=ui.clicked("layer_chart", click_layer),
        selection_mode="points",
        alt="Validation score of the probes by layer, with baselines as lines",
    )
    bars = ", with 95 % intervals" if wish["metric"] == "accuracy" else ""
    n, n_test = metrics["validation"]["n"], metrics["test"]["n"]
    mute = ", ".join(mute_places(probes))
    left_out = f" Not drawn, as nothing can be read there: {mute}." if mute else ""
    st.caption(NOTE.format(n=n, n_test=n_test, bars=bars) + left_out)


def spread(run: Run) -> None:
    """The variability of the hidden states, which needs no probe."""
    if not run.has("variability.json"):
        return
    found, metrics = ui.read(run, "variability"), ui.read(run, "metrics")
    st.subheader("How far the classes stand apart", anchor=False)
    figure = nu_curve(
        found["nu"],
        best=found["best_layer"],
        layer_names=metrics["backbone"]["layer_names"],
        picked=ui.context().layer,
        tuned=metrics.get("tuning", {}).get("blocks", ()),
    )
    st.plotly_chart(
        figure,
        key="nu_chart",
        on_select=ui.clicked("nu_chart", click_layer),
        selection_mode="points",
        config={"displayModeBar": False},
        alt="Variability of the hidden states by layer",
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(NU, width="stretch")
        ui.link(ui.ADAPT, "Tune up to a layer", icon=":material/tune:")


def tuned_note(metrics: dict[str, Any]) -> None:
    """Of a tuned run: what of this page is of the model before it was tuned."""
    if "tuning" in metrics:
        st.info(
            f"The classifier of this run reads layer {metrics['tuning']['layer']} of a "
            "tuned model. Probes, curves and ν are of the model before it was tuned.",
            icon=":material/tune:",
        )


def picked(run: Run, probes: pd.DataFrame) -> None:
    """What is known of the layer that was clicked, and the way to its neurons."""
    layer = ui.context().layer
    best = best_probes(probes)
    there = best.loc[best["layer"] == layer]
    if there.empty:
        return
    neurons = ui.read(run, "neurons")
    n_kept = int((neurons["layer"] == layer).sum())
    top = there.loc[there["accuracy"].idxmax()]
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**Layer {layer}** · best probe `{top['site']}` by {top['pooling']}: "
            f"{percent(top['accuracy'])} · {n_kept:,} of the {len(neurons):,} neurons "
            "that were kept are here",
            width="stretch",
        )
        ui.link(ui.NEURONS, "See its neurons", icon=":material/grain:")
        st.button("Clear", key="clear_layer", on_click=lambda: ui.remember(layer=None))


def trade(run: Run, metric: Any) -> None:
    points = ui.read(run, "curves")
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("How many neurons are enough", anchor=False)
        figure = neuron_curve(points, metric)
        st.plotly_chart(figure, alt="Validation score by number of neurons kept")
    with right:
        st.subheader("How deep one has to go", anchor=False)
        figure = depth_curve(points, metric)
        st.plotly_chart(figure, alt="Validation score and compute saved by depth")


def numbers(run: Run, probes: pd.DataFrame) -> None:
    with st.expander("The numbers", icon=":material/table:"):
        st.dataframe(probes[SHOWN], hide_index=True, height=320)
        st.download_button(
            "Download CSV",
            probes.to_csv(index=False),
            file_name=f"{run.folder.name}_probes.csv",
            mime="text/csv",
            on_click="ignore",
            icon=":material/download:",
        )


ui.frame(
    "Layers",
    ":material/stacked_line_chart:",
    caption="A sparse probe reads the labels from every layer: what it knows, where.",
)
with ui.guard():
    run = ui.pick_run()
    probes, metrics = ui.read(run, "probes"), ui.read(run, "metrics")
    tuned_note(metrics)
    story = st.container(border=True)
    wish = controls(probes)
    said = layer_story(probes, ui.read(run, "curves"), metrics, metric=wish["metric"])
    story.markdown("\n".join(f"- {sentence}" for sentence in said))
    curves(probes, metrics, wish)
    picked(run, probes)
    spread(run)
    trade(run, wish["metric"])
    numbers(run, probes)
