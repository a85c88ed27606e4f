"""Figures of a tuning: nu by layer, the curves of the training, the result tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stc_core.display import BASELINES, OURS, duration, interval, percent, size
from stc_core.figures.style import (
    FAINT,
    MARK,
    PALETTE,
    figure_of,
    layer_axis,
    one_line,
    settle,
    thin,
    ticks_among,
)

_NAMES = {**BASELINES, "tuned": OURS, "attention": OURS}
"""The names of the classifiers that a tuned run compares, its own among them."""


def nu_curve(
    nu: Sequence[float | None],
    *,
    best: int,
    layer_names: Sequence[str] = (),
    picked: int | None = None,
    tuned: Sequence[int] = (),
) -> go.Figure:
    """nu by layer with l* marked; each point carries its layer for clicks.

    A layer without nu (None) has no point. `tuned` blocks are shaded.
    """
    figure = figure_of([_nu_points(nu, best, layer_names)])
    if picked is not None:
        figure.add_vline(x=picked, line={"color": FAINT, "width": 14}, layer="below")
    if tuned:
        figure.add_vrect(
            x0=min(tuned) - 0.5,
            x1=max(tuned) + 0.5,
            fillcolor=thin(PALETTE[1], 0.16),
            line_width=0,
            layer="below",
            annotation={"text": "tuned", "font": {"size": 12}},
            annotation_position="top left",
        )
    return settle(
        figure,
        height=300,
        xaxis=layer_axis(range(len(nu)), range=[-0.6, len(nu) - 0.4]),
        yaxis={"title": "variability ν", "rangemode": "tozero"},
    )


def _nu_points(
    nu: Sequence[float | None], best: int, layer_names: Sequence[str]
) -> dict[str, Any]:
    """A point for each layer with nu, and a line through them; `best` is a star."""
    layers = [layer for layer, value in enumerate(nu) if value is not None]
    return {
        "type": "scatter",
        "x": layers,
        "y": [nu[layer] for layer in layers],
        "mode": "lines+markers",
        "line": {"color": PALETTE[5], "width": 2.2},
        "marker": {
            "size": [15 if layer == best else 10 for layer in layers],
            "symbol": ["star" if layer == best else "circle" for layer in layers],
            "color": [MARK if layer == best else PALETTE[5] for layer in layers],
            "opacity": 1,  # markers of several sizes are seen through otherwise
        },
        "customdata": [[layer] for layer in layers],
        "hovertext": [_hover(nu, layer, best, layer_names) for layer in layers],
        "hoverinfo": "text",
    }


def _hover(
    nu: Sequence[float | None], layer: int, best: int, names: Sequence[str]
) -> str:
    where = f" ({one_line(names[layer])})" if layer < len(names) else ""
    least = "<br>the lowest: l*" if layer == best else ""
    return f"<b>layer {layer}</b>{where}<br>ν = {nu[layer]:.4g}{least}"


def training_curves(history: Mapping[str, Any], metric: str = "accuracy") -> go.Figure:
    """The training and validation loss, and beside it the validation score, by epoch.

    Epoch 0 is the frozen backbone. A training that still goes on can be drawn, too.
    """
    epochs = history["epochs"]
    figure = make_subplots(cols=2, subplot_titles=("loss", f"validation {metric}"))
    figure.add_scatter(
        x=[epoch for epoch, _ in history["steps"]],
        y=[loss for _, loss in history["steps"]],
        name="training",
        mode="lines",
        line={"color": PALETTE[7], "width": 1.5},
        row=1,
        col=1,
    )
    for column, name, colour in ((1, "loss", PALETTE[0]), (2, metric, PALETTE[2])):
        curve = _validation_curve(epochs, name, colour)
        figure.add_scatter(**curve, showlegend=column == 1, row=1, col=column)
    by_epoch = {"title": "epoch", "rangemode": "tozero"}
    settle(
        figure,
        height=300,
        top=48,
        legend=True,
        xaxis=by_epoch,
        xaxis2=by_epoch,
        yaxis={"rangemode": "tozero"},
        yaxis2={"tickformat": ticks_among(epoch[metric] for epoch in epochs)},
    )
    # Below the first plot, because a loss curve may pass through any of its corners.
    below = {"x": 0.0, "xanchor": "left", "y": -0.28, "yanchor": "top"}
    figure.update_layout(legend={**below, "orientation": "h"})
    return figure


def _validation_curve(
    epochs: Sequence[Mapping[str, Any]], name: str, colour: str
) -> dict[str, Any]:
    """The loss or the score called `name` after each epoch."""
    return {
        "x": [epoch["epoch"] for epoch in epochs],
        "y": [epoch[name] for epoch in epochs],
        "name": "validation",
        "mode": "lines+markers",
        "line": {"color": colour, "width": 2.2},
        "marker": {"size": 9},
        "cliponaxis": False,
    }


def comparison_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The result table of a tuned run with readable titles, in the order of `rows`."""
    return pd.DataFrame(
        {
            "Classifier": [_NAMES[row["name"]] for row in rows],
            "Accuracy": [percent(row["accuracy"]) for row in rows],
            "95 % interval": [interval(row["accuracy_interval"]) for row in rows],
            "Macro-F1": [percent(row["macro_f1"]) for row in rows],
            "Trained parameters": [f"{row['trainable']:,}" for row in rows],
            "Time": [duration(row["seconds"]) for row in rows],
            "Memory": [
                "–" if row["peak_bytes"] is None else size(row["peak_bytes"])
                for row in rows
            ],
            "Compute": [percent(row["flops_share"]) for row in rows],
        }
    )


def tunings_table(runs: Sequence[tuple[str, Mapping[str, Any]]]) -> pd.DataFrame:
    """The tuned runs of the same table, one row each, from their names and metrics."""
    rows = []
    for name, metrics in runs:
        tuned = next(row for row in metrics["comparison"] if row["name"] == "tuned")
        shown = comparison_table([tuned]).drop(columns="Classifier").iloc[0]
        tuning = metrics["tuning"]
        what = f"{tuning['method']}, blocks {metrics['chosen']['blocks']}"
        rows.append({"Run": name, "Tuned": what, **shown})
    return pd.DataFrame(rows)
