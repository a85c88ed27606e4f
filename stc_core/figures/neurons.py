"""Figures of the selected neurons: a square for each neuron, or for a bin of a site."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Bool, Float

from stc_core.figures.style import (
    MARK,
    diverging_scale,
    figure_of,
    one_line,
    sequential_scale,
    settle,
)
from stc_core.frames import records
from stc_core.interpret.neuron_table import (
    IMPORTANCE,
    WEIGHT,
    neuron_name,
    strength,
    strongest_weight,
)


class Scale(NamedTuple):
    """The size of the squares of a map in pixels, and their number in a line."""

    per_line: int
    square: int
    line: int


LARGE, SMALL = Scale(40, 14, 21), Scale(60, 10, 15)
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
    """A square for each neuron of `chosen_neurons`, in one or more rows for each site.

    The colour is the `strength`. Layer 0 is at the bottom, as in the network. Each
    square carries its neuron for clicks, which the cells of a heatmap cannot.
    """
    values = strength(shown, label, against)
    hovers = [_map_hover(row, label, against) for row in records(shown)]
    carried = shown[["neuron"]].to_numpy(object)
    sizes = {site: len(part) for site, part in shown.groupby("site")}
    title = _title(label, against)
    marked = (shown["neuron"] == picked).to_numpy()
    squares = Squares(values, hovers, carried, marked)
    return _squares(shown, squares, sizes, title, signed_scale=label is not None)


def bin_map(
    bins: pd.DataFrame,
    *,
    label: str | None = None,
    against: str | None = None,
    row: int | None = None,
) -> go.Figure:
    """A square for each bin of `neuron_table.binned`.

    A square carries its strongest neuron, layer and kind of site, so that a click on it
    opens that site.

    Coloured by the mean importance, or by the strongest weight; `row` is marked.
    """
    values = bins[IMPORTANCE if label is None else "value"].to_numpy(float)
    fields = [
        *_HOVER_FIELDS,
        "first",
        "last",
        *(["value"] if label is not None else []),
    ]
    hovers = [_bin_hover(row, label, against) for row in records(bins.loc[:, fields])]
    carried = bins[["neuron", "layer", "kind"]].to_numpy(object)
    sizes = {
        site: int(np.sum(part["n"].to_numpy())) for site, part in bins.groupby("site")
    }
    title = (
        "mean importance" if label is None else f"strongest {_title(label, against)}"
    )
    squares = Squares(values, hovers, carried, np.arange(len(bins)) == row)
    return _squares(bins, squares, sizes, title, signed_scale=label is not None)


class Squares(NamedTuple):
    """The squares of a map: what they show, say and carry, and which are marked."""

    values: Float[np.ndarray, " n"]
    hovers: list[str]
    carried: np.ndarray  # (n, what a click needs)
    marked: Bool[np.ndarray, " n"]


def _squares(
    shown: pd.DataFrame,
    squares: Squares,
    sizes: Mapping[Any, int],
    title: str,
    *,
    signed_scale: bool,
) -> go.Figure:
    scale = LARGE if len(shown) <= _MANY else SMALL
    placed = _grid(shown, scale.per_line)
    kind = "scatter" if len(shown) <= DRAWN else "scattergl"
    columns = {
        "type": kind,
        "x": placed["column"],
        "y": placed["line"],
        "mode": "markers",
        "marker": {
            "symbol": "square",
            "size": scale.square,
            "color": squares.values,
            "line": {"width": 1, "color": "rgba(128, 138, 150, 0.45)"},
            **_scale(squares.values, title, signed_scale),
        },
        "customdata": squares.carried,
        "hovertext": np.array(squares.hovers, dtype=object),
        "hoverinfo": "text",
    }
    marks = {"type": kind, **_marks(placed.loc[squares.marked], scale.square)}
    lines, sites = placed["line"].to_numpy(), placed["site"].to_numpy(str)
    starts = np.sort(np.unique(sites, return_index=True)[1])
    n_lines = 1 + float(np.max(lines, initial=0.0))
    return settle(
        figure_of([columns, marks]),
        height=68 + round(scale.line * n_lines),
        right=8,
        top=88,
        bottom=12,
        xaxis={
            "visible": False,
            "range": [-0.8, scale.per_line - 0.2],
            "fixedrange": True,
        },
        yaxis={
            "tickvals": lines[starts].tolist(),
            "ticktext": [f"{site} ({int(sizes[site]):,})" for site in sites[starts]],
            "showgrid": False,
            "range": [-0.8, n_lines - 0.2],
            "fixedrange": True,
        },
    )


def _grid(neurons: pd.DataFrame, per_line: int) -> pd.DataFrame:
    """A table with site, column and line of the square of each neuron.

    Sites follow each other upwards in the order of `neurons`, with a gap between two
    sites. A site with more than `per_line` neurons continues in the line above.
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


def _title(label: str | None, against: str | None) -> str:
    if label is None:
        return "importance"
    if against is None:
        return f"weight for {one_line(label, 18)}"
    return f"weight for {one_line(label, 14)} − for {one_line(against, 14)}"


def _scale(values: Float[np.ndarray, " n"], title: str, signed_scale: bool) -> dict:
    top = float(np.abs(values).max(initial=0.0)) or 1.0
    return {
        "cmin": -top if signed_scale else 0.0,
        "cmax": top,
        "colorscale": diverging_scale() if signed_scale else sequential_scale(),
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


def _marks(place: pd.DataFrame, square: int) -> dict[str, Any]:
    return {
        "x": place["column"],
        "y": place["line"],
        "mode": "markers",
        "marker": {
            "symbol": "square-open",
            "size": square + 5,
            "color": MARK,
            "line": {"width": 3},
        },
        "hoverinfo": "skip",
    }


def _map_hover(row: dict, label: str | None, against: str | None) -> str:
    facts = [f"<b>{neuron_name(row)}</b>", f"importance {row[IMPORTANCE]:.3g}"]
    names = [name for name in (label, against) if name is not None]
    if not names:
        name, weight = strongest_weight(row)
        facts.append(f"strongest weight {weight:+.3f} for {one_line(name)}")
    facts += [
        f"weight {row[WEIGHT + name]:+.3f} for {one_line(name)}" for name in names
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
        facts.append(f"its {_title(label, against)}: {row['value']:+.3f}")
    return "<br>".join([*facts, "Click to see this site."])
