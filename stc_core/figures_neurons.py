"""Figures of the selected neurons: their map, one neuron's weights and activations."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Float

from stc_core.figures import (
    GREY,
    MARK,
    class_colours,
    diverging_scale,
    plain,
    records,
    sequential_scale,
    settle,
    signed,
    thin,
)
from stc_core.neurons import IMPORTANCE, WEIGHT, neuron_name, weights_of

PER_LINE = 40
MOST = 2000
_LINE_HEIGHT = 22
_OTHERS = "all other classes"


def neuron_map(
    neurons: pd.DataFrame, *, label: str | None = None, picked: int | None = None
) -> go.Figure:
    """A square for each neuron of `chosen_neurons`, a row or more for each site.

    Coloured by the weight for the class `label`, or by importance without one. Layer
    0 is at the bottom, as in the network. Each square carries its neuron for clicks;
    a heatmap's cells would not. Of more than MOST neurons the most important.
    """
    shown = neurons.nlargest(MOST, IMPORTANCE).sort_index()
    placed = grid(shown, PER_LINE)
    values = shown[IMPORTANCE if label is None else WEIGHT + label].to_numpy(float)
    figure = go.Figure(
        go.Scattergl(
            x=placed["column"],
            y=placed["line"],
            mode="markers",
            marker={
                "symbol": "square",
                "size": 15,
                "color": values,
                "line": {"width": 1, "color": "rgba(128, 138, 150, 0.45)"},
                **_scale(values, label),
            },
            customdata=shown[["neuron"]].to_numpy(),
            hovertext=[_map_hover(row, label) for row in records(shown)],
            hoverinfo="text",
        )
    )
    _mark(figure, placed.loc[(shown["neuron"] == picked).to_numpy()])
    sites = list(dict.fromkeys(placed["site"]))
    lines = [placed.loc[placed["site"] == site, "line"] for site in sites]
    n_lines = 1 + int(np.max(placed["line"], initial=0))
    return settle(
        figure,
        height=90 + _LINE_HEIGHT * n_lines,
        right=8,
        xaxis={
            "visible": False,
            "range": [-0.8, PER_LINE - 0.2],
            "fixedrange": True,
        },
        yaxis={
            "tickvals": [int(np.min(line)) for line in lines],
            "ticktext": [
                f"{site} ({len(line):,})"
                for site, line in zip(sites, lines, strict=True)
            ],
            "showgrid": False,
            "range": [-0.8, n_lines - 0.2],
            "fixedrange": True,
        },
    )


def grid(neurons: pd.DataFrame, per_line: int) -> pd.DataFrame:
    """site, column and line of each neuron's square; a site's lines are its own.

    Sites follow each other upwards in the order of `neurons`; a site with more than
    `per_line` neurons goes on in the line above.
    """
    rank = neurons.groupby("site", sort=False).cumcount().to_numpy()
    names, place = np.unique(neurons["site"].astype(str), return_inverse=True)
    first, start = np.zeros(len(names), int), 0
    for site in dict.fromkeys(place.tolist()):
        first[site] = start
        start += -(-int(np.sum(place == site)) // per_line)
    return pd.DataFrame(
        {
            "site": neurons["site"].to_numpy(),
            "column": rank % per_line,
            "line": first[place] + rank // per_line,
        }
    )


def _scale(values: Float[np.ndarray, " n"], label: str | None) -> dict:
    top = float(np.abs(values).max(initial=0.0)) or 1.0
    title = "importance" if label is None else f"weight for {plain(label, 18)}"
    return {
        "cmin": 0.0 if label is None else -top,
        "cmax": top,
        "colorscale": sequential_scale() if label is None else diverging_scale(),
        "showscale": True,
        "colorbar": {
            "title": {"text": title, "side": "top"},
            "orientation": "h",
            "thickness": 9,
            "len": 0.35,
            "x": 1,
            "xanchor": "right",
            "y": 1.0,
            "yanchor": "bottom",
            "nticks": 5,
        },
    }


def _mark(figure: go.Figure, place: pd.DataFrame) -> None:
    figure.add_scattergl(
        x=place["column"],
        y=place["line"],
        mode="markers",
        marker={
            "symbol": "square-open",
            "size": 19,
            "color": MARK,
            "line": {"width": 3},
        },
        hoverinfo="skip",
    )


def _map_hover(row: dict, label: str | None) -> str:
    said = [f"<b>{neuron_name(row)}</b>", f"importance {row[IMPORTANCE]:.3g}"]
    if label is not None:
        said.append(f"weight {row[WEIGHT + label]:+.3f} for {plain(label)}")
        return "<br>".join(said)
    weights = weights_of(row)
    top = max(weights, key=lambda name: abs(weights[name]))
    said.append(f"strongest weight {weights[top]:+.3f} for {plain(top)}")
    return "<br>".join(said)


def weight_bars(weights: Mapping[str, float], *, most: int = 12) -> go.Figure:
    """Signed bars, the highest on top; of more than `most` classes the strongest."""
    keep = sorted(weights.items(), key=lambda item: -abs(item[1]))[:most]
    shown = dict(sorted(keep, key=lambda item: item[1]))
    values = list(shown.values())
    places = list(range(len(shown)))
    figure = go.Figure(
        go.Bar(
            x=values,
            y=places,
            orientation="h",
            marker={"color": [signed(value).css(0.9) for value in values]},
            text=[f"{value:+.2f}" for value in values],
            textposition="outside",
            cliponaxis=False,
            hovertext=[f"{plain(c, 80)}: {v:+.4f}" for c, v in shown.items()],
            hoverinfo="text",
        )
    )
    figure.add_vline(x=0, line={"color": GREY, "width": 1})
    reach = 1.25 * (max(map(abs, values), default=0.0) or 1.0)
    return settle(
        figure,
        height=max(200, 84 + 27 * len(shown)),
        xaxis={
            "title": "logit change per standard deviation",
            "range": [-reach, reach],
        },
        yaxis={
            "tickvals": places,
            "ticktext": [plain(name, 24) for name in shown],
            "showgrid": False,
        },
    )


def activation_histogram(
    values: Float[np.ndarray, " n"],
    labels: np.ndarray,
    *,
    classes: Sequence[str],
    shown: Sequence[str],
    bins: int = 36,
) -> go.Figure:
    """The share of each class' texts by activation, the classes not `shown` as one.

    Binned here: a million texts cost the browser no more than a hundred.
    """
    edges = np.histogram_bin_edges(values.astype(float), bins=bins)
    colours = class_colours(classes, shown)
    figure = go.Figure()
    rest = ~np.isin(labels, list(shown))
    if rest.any():
        _steps(figure, values[rest], edges, _OTHERS, "#868E99", fill=True)
    for name in shown:
        _steps(figure, values[labels == name], edges, name, colours[name])
    return settle(
        figure,
        height=300,
        top=56,
        legend=True,
        xaxis={"title": "pooled activation", "showgrid": False},
        yaxis={"title": "share of the class", "tickformat": ".0%"},
    )


def _steps(
    figure: go.Figure,
    values: np.ndarray,
    edges: np.ndarray,
    name: str,
    colour: str,
    *,
    fill: bool = False,
) -> None:
    counts, _ = np.histogram(values, bins=edges)
    share = counts / max(len(values), 1)
    hover = [
        f"{plain(name)}<br>{low:.3g} to {high:.3g}: {n:,} of {len(values):,} texts"
        for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    figure.add_scatter(
        x=(edges[:-1] + edges[1:]) / 2,
        y=share,
        mode="lines",
        name=plain(name, 24),
        line={"shape": "hvh", "color": colour, "width": 0 if fill else 2.2},
        fill="tozeroy",
        fillcolor=thin(colour, 0.25 if fill else 0.12),
        hovertext=hover,
        hoverinfo="text",
    )
