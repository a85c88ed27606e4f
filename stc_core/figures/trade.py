"""Figures of the trade-off: score against neurons, depth and compute, and rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stc_core.display import interval, percent
from stc_core.figures.style import MARK, PALETTE, settle, share_ticks, thin
from stc_core.frames import records
from stc_core.metrics.scores import METRICS, Metric


def neuron_curve(curves: pd.DataFrame, metric: Metric = "accuracy") -> go.Figure:
    """Validation score against the number of neurons; the chosen point is marked."""
    part = curves.loc[curves["curve"] == "neurons"].sort_values(
        "neurons", kind="stable"
    )
    figure = go.Figure()
    _scored(figure, part, "neurons", metric)
    return settle(
        figure,
        height=340,
        top=24,
        xaxis={
            "title": "neurons kept",
            "type": "log",
            "tickvals": _ticks(part["neurons"]),
            "ticktext": [f"{tick:,}" for tick in _ticks(part["neurons"])],
            "showgrid": False,
        },
        yaxis={"title": f"held-out {METRICS[metric]}", **_shares(part, metric)},
    )


def rows_curve(learning: Mapping[str, Any]) -> go.Figure:
    """Accuracy against the number of rows: measured, and continued with its band.

    `learning` is the record of a `LearningCurve`.
    """
    now = learning["rows"]
    line = pd.DataFrame(learning["line"]).assign(rows=lambda t: now + t["more"])
    figure = go.Figure()
    figure.add_scatter(
        x=[*line["rows"], *line["rows"][::-1]],
        y=[*line["high"], *line["low"][::-1]],
        fill="toself",
        line={"width": 0},
        mode="lines",
        fillcolor=thin(PALETTE[0], 0.16),
        name="95 % band",
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=line["rows"],
        y=line["score"],
        mode="lines",
        name="fitted curve",
        line={"color": PALETTE[0], "dash": "dash"},
        hovertemplate="%{x:,} rows: about %{y:.1%}<extra></extra>",
    )
    figure.add_scatter(
        x=learning["sizes"],
        y=learning["scores"],
        mode="markers",
        name="measured",
        marker={"color": PALETTE[0], "size": 7},
        error_y={"array": [1.96 * error for error in learning["errors"]]},
        hovertemplate="%{x:,} rows: %{y:.1%}<extra></extra>",
    )
    figure.add_scatter(
        x=[now],
        y=[learning["forecasts"][0]["score"]],
        mode="markers",
        name=f"the {now:,} rows of now",
        marker={"color": MARK, "size": 10},
        hovertemplate="%{x:,} rows, as now: about %{y:.1%}<extra></extra>",
    )
    return settle(
        figure,
        height=320,
        top=40,
        legend=True,
        xaxis={
            "title": "rows learned from",
            "showgrid": False,
            "rangemode": "tozero",
            "tickformat": ",d",
        },
        yaxis={"title": "accuracy on new texts", "tickformat": ".0%"},
    )


def _ticks(neurons: pd.Series) -> list[int]:
    """Powers of two (of four, when there are many) up to the largest number."""
    top = max(int(neurons.max()), 1)
    step = 1 if top <= 256 else 2
    return [2**power for power in range(0, top.bit_length(), step)]


def depth_curve(curves: pd.DataFrame, metric: Metric = "accuracy") -> go.Figure:
    """Validation score against depth, and below it the compute that each depth saves.

    At depth k only the blocks up to k run. Each point carries its layer for clicks.
    """
    part = curves.loc[curves["curve"] == "depth"].sort_values("layer", kind="stable")
    figure = make_subplots(
        rows=2,
        cols=1,
        shared_xaxes=True,
        row_heights=[0.66, 0.34],
        vertical_spacing=0.1,
    )
    _scored(figure, part, "layer", metric)
    for column, name, colour in (
        ("flops_share", "FLOPs", PALETTE[0]),
        ("parameters_share", "parameters", PALETTE[7]),
    ):
        figure.add_bar(
            x=part["layer"],
            y=1 - part[column],
            name=f"{name} saved",
            marker={"color": colour},
            hovertemplate=name + " saved at depth %{x}: %{y:.1%}<extra></extra>",
            row=2,
            col=1,
        )
    depths = {"tickvals": list(part["layer"]), "showgrid": False}
    return settle(
        figure,
        height=340,
        top=48,
        legend=True,
        bargap=0.35,
        bargroupgap=0.08,
        xaxis=depths,
        xaxis2={**depths, "title": "depth: the highest block that runs"},
        yaxis={"title": METRICS[metric], **_shares(part, metric)},
        yaxis2={"tickformat": ".0%", "title": "saved", "range": [0, 1]},
    )


def _scored(figure: go.Figure, part: pd.DataFrame, x: str, metric: Metric) -> None:
    """Add a curve with its 95 % band and the chosen point."""
    if metric == "accuracy":
        figure.add_scatter(
            x=[*part[x], *part[x][::-1]],
            y=[*part["accuracy_high"], *part["accuracy_low"][::-1]],
            fill="toself",
            fillcolor=thin(PALETTE[0], 0.16),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
        )
    figure.add_scatter(
        x=part[x],
        y=part[metric],
        mode="lines+markers",
        line={"color": PALETTE[0], "width": 2.2},
        marker={"size": 8},
        customdata=part[["layer"]].to_numpy().tolist(),
        hovertext=[_curve_hover(row, metric) for row in records(part)],
        hoverinfo="text",
        showlegend=False,
    )
    chosen = part.loc[part["chosen"].astype(bool)]
    figure.add_scatter(
        x=chosen[x],
        y=chosen[metric],
        mode="markers+text",
        text=["chosen"] * len(chosen),
        textposition="top center",
        textfont={"color": MARK},
        marker={"color": MARK, "symbol": "diamond", "size": 14},
        hovertext=[_curve_hover(row, metric) for row in records(chosen)],
        hoverinfo="text",
        showlegend=False,
    )


def _shares(part: pd.DataFrame, metric: Metric) -> dict[str, Any]:
    """The axis of the scores, which shows them and their intervals even if flat."""
    names = [metric, *(["accuracy_low", "accuracy_high"] * (metric == "accuracy"))]
    values = part[names].to_numpy(float)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    pad = max(0.14 * (high - low), 0.02)  # for the word above the chosen point
    low, high = max(0.0, low - pad), min(1.03, high + pad)
    return {"range": [low, high], "tickformat": share_ticks(low, high)}


def _curve_hover(row: dict[str, Any], metric: Metric) -> str:
    facts = [
        f"<b>{row['neurons']:,} neurons, up to layer {row['layer']}</b>",
        f"{METRICS[metric]} {percent(row[metric])}",
    ]
    if metric == "accuracy":
        facts.append(f"95 %: {interval((row['accuracy_low'], row['accuracy_high']))}")
    facts.append(f"FLOPs saved {percent(1 - row['flops_share'])}")
    return "<br>".join(facts)
