"""Figures of the selected neurons: their map, one neuron's weights and activations."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Float

from stc_core.figures import (
    ACTIVE,
    GREY,
    MARK,
    Colour,
    diverging_scale,
    plain,
    records,
    sequential_scale,
    settle,
    signed,
)
from stc_core.neurons import IMPORTANCE, WEIGHT, neuron_name, weights_of

MOST = 2000
MOST_CLASSES = 12


class Scale(NamedTuple):
    """How large the squares of a map are, in pixels, and how many stand in a line."""

    per_line: int
    square: int
    line: int


LARGE, SMALL = Scale(40, 14, 21), Scale(60, 10, 15)
MANY = 400
_GAP = 0.45  # between sites, in lines


def neuron_map(
    neurons: pd.DataFrame, *, label: str | None = None, picked: int | None = None
) -> go.Figure:
    """A square for each neuron of `chosen_neurons`, a row or more for each site.

    Coloured by the weight for the class `label`, or by importance without one. Layer
    0 is at the bottom, as in the network. Each square carries its neuron for clicks;
    a heatmap's cells would not. Of more than MOST neurons the most important.
    """
    shown = neurons.nlargest(MOST, IMPORTANCE).sort_index()
    scale = LARGE if len(shown) <= MANY else SMALL
    placed = grid(shown, scale.per_line)
    values = shown[IMPORTANCE if label is None else WEIGHT + label].to_numpy(float)
    figure = go.Figure(
        go.Scattergl(
            x=placed["column"],
            y=placed["line"],
            mode="markers",
            marker={
                "symbol": "square",
                "size": scale.square,
                "color": values,
                "line": {"width": 1, "color": "rgba(128, 138, 150, 0.45)"},
                **_scale(values, label),
            },
            customdata=shown[["neuron"]].to_numpy().tolist(),
            hovertext=[_map_hover(row, label) for row in records(shown)],
            hoverinfo="text",
        )
    )
    _mark(figure, placed.loc[(shown["neuron"] == picked).to_numpy()], scale.square)
    sites = list(dict.fromkeys(placed["site"]))
    lines = [placed.loc[placed["site"] == site, "line"] for site in sites]
    n_lines = 1 + float(np.max(placed["line"].to_numpy(), initial=0.0))
    return settle(
        figure,
        height=68 + round(scale.line * n_lines),
        right=8,
        top=56,
        bottom=12,
        xaxis={
            "visible": False,
            "range": [-0.8, scale.per_line - 0.2],
            "fixedrange": True,
        },
        yaxis={
            "tickvals": [float(np.min(line)) for line in lines],
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
    `per_line` neurons goes on in the line above. A gap sets each site apart.
    """
    rank = neurons.groupby("site", sort=False).cumcount().to_numpy()
    names, place = np.unique(neurons["site"].astype(str), return_inverse=True)
    first, start = np.zeros(len(names)), 0.0
    for site in dict.fromkeys(place.tolist()):
        first[site] = start
        start += -(-int(np.sum(place == site)) // per_line) + _GAP
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
            "len": 260,
            "lenmode": "pixels",
            "x": 1,
            "xanchor": "right",
            "y": 1.0,
            "ypad": 4,
            "yanchor": "bottom",
            "nticks": 5,
        },
    }


def _mark(figure: go.Figure, place: pd.DataFrame, square: int) -> None:
    figure.add_scattergl(
        x=place["column"],
        y=place["line"],
        mode="markers",
        marker={
            "symbol": "square-open",
            "size": square + 5,
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


def class_rows(
    weights: Mapping[str, float], label: str | None = None, *, most: int = MOST_CLASSES
) -> list[str]:
    """The classes to show, by falling weight; of many the strongest, and `label`."""
    strong = sorted(weights, key=lambda name: (name != label, -abs(weights[name])))
    return sorted(strong[:most], key=lambda name: -weights[name])


def weight_bars(weights: Mapping[str, float], shown: Sequence[str]) -> go.Figure:
    """Signed bars, one for each class in `shown`, the first on top."""
    values = [weights[name] for name in shown]
    figure = go.Figure(
        go.Bar(
            x=values,
            y=_places(shown),
            orientation="h",
            width=0.62,
            marker={"color": [signed(value).css(0.9) for value in values]},
            text=[f"{value:+.2g}" for value in values],
            textposition="outside",
            cliponaxis=False,
            hovertext=[f"{plain(name, 80)}: {weights[name]:+.4f}" for name in shown],
            hoverinfo="text",
        )
    )
    figure.add_vline(x=0, line={"color": GREY, "width": 1})
    reach = 1.3 * (max(map(abs, values), default=0.0) or 1.0)
    x = {"title": "logit change per standard deviation", "range": [-reach, reach]}
    return _by_class(figure, shown, x)


def activation_rows(
    values: Float[np.ndarray, " n"],
    labels: np.ndarray,
    shown: Sequence[str],
    *,
    bins: int = 48,
) -> go.Figure:
    """A histogram of the activations for each class in `shown`, under each other.

    Each is as high as its own peak, so that small classes can be compared to large
    ones by their shape; the numbers are shown on hover.
    Binned here: a million texts cost the browser no more than a hundred.
    """
    edges = np.histogram_bin_edges(values, bins=bins)
    counts = [np.histogram(values[labels == name], bins=edges)[0] for name in shown]
    figure = go.Figure()
    for name, count, place in zip(shown, counts, _places(shown), strict=True):
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=0.86 * count / max(count.max(), 1),
            base=place - 0.4,
            width=edges[1] - edges[0],
            marker={"color": Colour(*ACTIVE).css(0.85), "line": {"width": 0}},
            hovertext=_bin_hovers(name, edges, count),
            hoverinfo="text",
        )
    figure.update_layout(barmode="overlay")
    return _by_class(figure, shown, {"title": "pooled activation", "showgrid": True})


def _bin_hovers(name: str, edges: np.ndarray, counts: np.ndarray) -> list[str]:
    total = int(counts.sum())
    return [
        f"{plain(name)}<br>{low:.3g} to {high:.3g}: {n:,} of {total:,} texts"
        for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True)
    ]


def _places(shown: Sequence[str]) -> list[int]:
    return list(range(len(shown)))[::-1]


def _by_class(figure: go.Figure, shown: Sequence[str], x: dict) -> go.Figure:
    """The layout of the two figures whose rows are the same classes."""
    return settle(
        figure,
        height=80 + 34 * max(len(shown), 3),
        xaxis=x,
        yaxis={
            "tickvals": _places(shown),
            "ticktext": [plain(name, 22) for name in shown],
            "range": [-0.6, len(shown) - 0.3],
            "showgrid": False,
        },
    )
