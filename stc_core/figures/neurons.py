"""Figures of the selected neurons: a square for each neuron, or for a bin of a site."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Bool, Float

from stc_core.display import formatted
from stc_core.figures.style import (
    MARK,
    PALETTE,
    diverging_scale,
    figure_of,
    one_line,
    outlines,
    sequential_scale,
    settle,
)
from stc_core.frames import records
from stc_core.interpret.neuron_table import (
    IMPORTANCE,
    WEIGHT,
    addresses_of,
    neuron_name,
    strength,
    strongest_weight,
)


class Scale(NamedTuple):
    """How many squares are in a line, and the pixels of a square and of a line."""

    per_line: int
    square: int
    line: int


LARGE, SMALL = Scale(36, 12, 18), Scale(48, 8, 11)
TALLEST, _LEAST_LINE = 400, 8
"""The most pixels of all lines, unless a line would have too few."""
_MANY = 400
DRAWN = 800
"""Up to this number of squares, drawing them one by one is faster than WebGL, which
restarts for each figure."""
_GAP = 0.45  # between sites, in lines
_HOVER_FIELDS = ["site", "index", "pooling", IMPORTANCE]  # shown for every square


def neuron_map(
    shown: pd.DataFrame,
    *,
    label: str | None = None,
    against: str | None = None,
    picked: int | None = None,
) -> go.Figure:
    """A square for each neuron of `chosen_neurons`, in one or more lines for each site.

    The colour is the `strength` of the neuron; the `picked` neuron is outlined. Layer 0
    is at the bottom, as in the network. Each square carries the address of its neuron
    for clicks. It is not a heatmap, because the cells of a heatmap cannot be clicked.
    """
    squares = Squares(
        values=strength(shown, label, against),
        title=_title(label, against),
        is_signed=label is not None,
        hovers=[_map_hover(row, label, against) for row in records(shown)],
        carried=np.array(addresses_of(shown), object)[:, None],
        is_marked=(shown["neuron"] == picked).to_numpy(),
        n_neurons={site: len(part) for site, part in shown.groupby("site")},
    )
    return _draw_squares(shown, squares)


def bin_map(
    bins: pd.DataFrame,
    *,
    label: str | None = None,
    against: str | None = None,
    row: int | None = None,
) -> go.Figure:
    """A square for each bin of `neuron_table.binned`; that of `row` is outlined.

    The colour is the mean importance of the neurons in the bin. With a `label` it is
    their strongest weight for that class. Each square carries the address of its
    strongest neuron, its layer and its kind of site, so that a click opens that site.
    """
    value, title = "value", f"strongest {_title(label, against)}"
    fields = [*_HOVER_FIELDS, "first", "last"]
    if label is None:
        value, title = IMPORTANCE, "mean importance"
    else:
        fields.append(value)
    rows = records(bins.loc[:, fields])
    squares = Squares(
        values=bins[value].to_numpy(float),
        title=title,
        is_signed=label is not None,
        hovers=[_bin_hover(row, label, against) for row in rows],
        carried=bins.assign(address=addresses_of(bins))[
            ["address", "layer", "kind"]
        ].to_numpy(object),
        is_marked=np.arange(len(bins)) == row,
        n_neurons={
            site: int(np.sum(part["n"].to_numpy()))
            for site, part in bins.groupby("site")
        },
    )
    return _draw_squares(bins, squares)


class Squares(NamedTuple):
    """The squares of a map, in the order of its neurons or bins.

    `values` give the colours, whose scale is called `title` and is symmetric around 0
    if `is_signed`. `hovers` are the texts on hover, `carried` what a click passes on.
    Where `is_marked`, a square is outlined. `n_neurons` counts the neurons of each
    site, shown beside it.
    """

    values: Float[np.ndarray, " n"]
    title: str
    is_signed: bool
    hovers: list[str]
    carried: np.ndarray  # (n, what a click passes on)
    is_marked: Bool[np.ndarray, " n"]
    n_neurons: Mapping[Any, int]


def _draw_squares(shown: pd.DataFrame, squares: Squares) -> go.Figure:
    """The map of the neurons or bins `shown`; a site is named at its first line."""
    kind = "scatter" if len(shown) <= DRAWN else "scattergl"
    scale, grid = _fitting(shown)
    marked = grid.loc[squares.is_marked]
    lines, sites = grid["line"].to_numpy(), grid["site"].to_numpy(str)
    starts = np.sort(np.unique(sites, return_index=True)[1])
    n_lines = 1 + float(np.max(lines, initial=0.0))
    outline = outlines(
        marked["column"],
        marked["line"],
        size=scale.square + 5,
        colour=MARK,
        symbol="square-open",
        type=kind,
    )
    return settle(
        figure_of([{"type": kind, **_points(grid, squares, scale.square)}, outline]),
        height=83 + round(scale.line * n_lines),
        right=8,
        top=71,  # what the colour bar needs: with less, Plotly draws the map twice
        bottom=12,
        xaxis={
            "visible": False,
            "range": [-0.8, scale.per_line - 0.2],
            "fixedrange": True,
        },
        yaxis={
            "tickvals": lines[starts].tolist(),
            "ticktext": [f"{s} ({squares.n_neurons[s]:,})" for s in sites[starts]],
            "showgrid": False,
            "range": [-0.8, n_lines - 0.2],
            "fixedrange": True,
        },
    )


def _fitting(shown: pd.DataFrame) -> tuple[Scale, pd.DataFrame]:
    """The scale at which the map of `shown` is not too tall, and the grid on it."""
    scale = LARGE if len(shown) <= _MANY else SMALL
    grid = _grid(shown, scale.per_line)
    n_lines = 1 + float(np.max(grid["line"].to_numpy(), initial=0.0))
    line = max(_LEAST_LINE, min(scale.line, int(TALLEST / n_lines)))
    square = min(scale.square, line - 3)
    return scale._replace(line=line, square=square), grid


def _points(grid: pd.DataFrame, squares: Squares, size: int) -> dict[str, Any]:
    """The trace of the squares, without its type."""
    return {
        "x": grid["column"],
        "y": grid["line"],
        "mode": "markers",
        "marker": {
            "symbol": "square",
            "size": size,
            "color": squares.values,
            "line": {"width": 1, "color": "rgba(128, 138, 150, 0.45)"},
            **_colour_scale(squares),
        },
        "customdata": squares.carried,
        "hovertext": np.array(squares.hovers, dtype=object),
        "hoverinfo": "text",
    }


def _grid(neurons: pd.DataFrame, per_line: int) -> pd.DataFrame:
    """A table with site, column and line of the square of each neuron.

    Sites follow each other upwards in the order of `neurons`, with a gap between two
    sites. A site with more than `per_line` neurons continues in the line above.
    """
    rank = neurons.groupby("site", sort=False).cumcount().to_numpy()
    names, codes = np.unique(neurons["site"].astype(str), return_inverse=True)
    first, start = np.zeros(len(names)), 0.0
    for code in dict.fromkeys(codes.tolist()):
        first[code] = start
        start += -(-int(np.sum(codes == code)) // per_line) + _GAP
    return pd.DataFrame(
        {
            "site": neurons["site"].to_numpy(),
            "column": rank % per_line,
            "line": first[codes] + rank // per_line,
        }
    )


def _title(label: str | None, against: str | None) -> str:
    if label is None:
        return "importance"
    if against is None:
        return f"weight for {one_line(label, 18)}"
    return f"weight for {one_line(label, 14)} − for {one_line(against, 14)}"


def _colour_scale(squares: Squares) -> dict[str, Any]:
    """The colours of the values, and the bar that explains them."""
    top = float(np.abs(squares.values).max(initial=0.0)) or 1.0
    return {
        "cmin": -top if squares.is_signed else 0.0,
        "cmax": top,
        "colorscale": diverging_scale() if squares.is_signed else sequential_scale(),
        "showscale": True,
        "colorbar": {
            "title": {"text": squares.title, "side": "top", "font": {"size": 12}},
            "tickfont": {"size": 11},
            "orientation": "h",
            "thickness": 9,
            "len": 260,
            "lenmode": "pixels",
            "x": 1,
            "xanchor": "right",
            "y": 1.0,
            "ypad": 0,
            "yanchor": "bottom",
            "nticks": 5,
        },
    }


def _map_hover(row: dict, label: str | None, against: str | None) -> str:
    facts = [f"<b>{neuron_name(row)}</b>", f"importance {row[IMPORTANCE]:.3g}"]
    names = [name for name in (label, against) if name is not None]
    if not names:
        name, weight = strongest_weight(row)
        facts.append(
            f"strongest weight {formatted(weight, '+.3f')} for {one_line(name)}"
        )
    facts += [
        f"weight {formatted(row[WEIGHT + name], '+.3f')} for {one_line(name)}"
        for name in names
    ]
    return "<br>".join(facts)


def _bin_hover(row: dict, label: str | None, against: str | None) -> str:
    ranks = f"{row['first']:,} to {row['last']:,}"
    facts = [
        f"<b>{row['site']}</b>, neurons {ranks}",
        f"mean importance {row[IMPORTANCE]:.3g}",
        f"strongest: {neuron_name(row)}",
    ]
    if label is not None:
        facts.append(f"its {_title(label, against)}: {formatted(row['value'], '+.3f')}")
    return "<br>".join([*facts, "Click to see this site."])


def usage_scatter(usage: pd.DataFrame, picked: int) -> go.Figure:
    """A point for each neuron: what is read of it and what is used, both in logits.

    `usage` has a row for each kept neuron; one that is read under several poolings has
    one point. The neuron `picked` is marked; a click on a point gives its address.
    """
    here = usage.loc[usage["neuron"] == picked]
    points = usage.drop_duplicates(["site", "index"])
    traces = [
        {
            "type": "scattergl",
            "mode": "markers",
            "x": frame["readout"].tolist(),
            "y": frame["effect"].tolist(),
            "customdata": addresses_of(frame),
            "marker": marker,
            "hovertemplate": "%{customdata}<br>read %{x:.4f}, used %{y:.4f}"
            "<extra></extra>",
        }
        for frame, marker in (
            (points, {"size": 7, "color": PALETTE[0], "opacity": 0.5}),
            (here, {"size": 13, "color": MARK, "symbol": "diamond"}),
        )
    ]
    return settle(
        figure_of(traces),
        height=340,
        xaxis={"title": "read by the head", "rangemode": "tozero"},
        yaxis={"title": "used in the model", "rangemode": "tozero"},
    )
