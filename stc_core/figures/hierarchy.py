"""Figures of a hierarchy: the tree, the layer of each level, mistakes in a parent."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from stc_core.analysis.label_tree_tables import SEPARATOR
from stc_core.display import interval, percent
from stc_core.figures.style import (
    GREY,
    MARK,
    PALETTE,
    Colour,
    figure_of,
    interval_bars,
    layer_axis,
    one_line,
    outlines,
    sequential_scale,
    settle,
    short_names,
    thin,
    ticks_among,
)
from stc_core.frames import records

UNKNOWN, ROOT = Colour(134, 142, 153), Colour(74, 85, 99)
LEAF_PX, TALLEST = 20, 1200
"""The height of a finest label, and of all of them at most, in pixels."""
MOST_WRITTEN = 24
"""The most columns of a confusion map with room for numbers."""


def tree_figure(nodes: pd.DataFrame, *, root: str = "all texts") -> go.Figure:
    """The tree as an icicle chart: colour by accuracy; a click zooms in.

    Each node shows its texts and its accuracy; a node without test texts is grey. All
    finest labels are alike in size, so that the name of a rare one can be read, too.
    """
    levels = nodes["level"].tolist()
    height = max(300, min(LEAF_PX * levels.count(max(levels)), TALLEST))
    return settle(
        go.Figure([_icicle(nodes, root)]),
        height=height + 16,
        top=8,
        bottom=8,
        uniformtext={"minsize": 9, "mode": "hide"},
        xaxis={"visible": False},
        yaxis={"visible": False},
    )


def _icicle(nodes: pd.DataFrame, root: str) -> go.Icicle:
    """The nodes under one root.

    The root has an id that no label has, because Plotly leaves a root without id empty.
    """
    total = int(nodes.loc[nodes["level"] == 1, "rows"].sum())
    shares = nodes["accuracy"].astype(float)
    colours = [UNKNOWN if np.isnan(share) else _blend(share) for share in shares]
    hovers = [_node_hover(row) for row in records(nodes)]
    return go.Icicle(
        ids=[SEPARATOR, *nodes["id"]],
        parents=["", *(parent or SEPARATOR for parent in nodes["parent"])],
        labels=[one_line(root), *(one_line(label, 18) for label in nodes["label"])],
        values=_leaves_below(nodes),
        text=[f"{total:,}", *(_node_text(row) for row in records(nodes))],
        texttemplate="%{label} · %{text}",
        textfont={"color": [colour.ink for colour in (ROOT, *colours)]},
        branchvalues="total",
        marker={
            "colors": [colour.css() for colour in (ROOT, *colours)],
            "line": {"color": "rgba(128, 138, 150, 0.6)", "width": 1},
        },
        hovertext=[f"{total:,} texts", *hovers],
        hoverinfo="text",
        leaf={"opacity": 1},
        tiling={"orientation": "h", "pad": 1},
        pathbar={"visible": False},
        sort=False,
    )


def _leaves_below(nodes: pd.DataFrame) -> list[int]:
    """The number of finest labels under the root and under each node, 1 for a leaf."""
    counts = dict.fromkeys(["", *nodes["id"]], 0)
    parents = dict(zip(nodes["id"], nodes["parent"], strict=True))
    inner = set(parents.values())
    for name in parents:
        if name in inner:
            continue
        counts[name] = 1
        above = parents[name]
        while above:
            counts[above] += 1
            above = parents[above]
        counts[""] += 1
    return list(counts.values())


def _blend(share: float) -> Colour:
    """A colour from orange at 0 over grey to blue-green at 1, opaque for text on it."""
    low, middle, high = (217, 84, 30), (176, 182, 190), (11, 140, 117)
    first, second = (low, middle) if share < 0.5 else (middle, high)
    part = 2 * share if share < 0.5 else 2 * share - 1
    mixed = (round(a + (b - a) * part) for a, b in zip(first, second, strict=True))
    return Colour(*mixed)


def _node_text(row: dict) -> str:
    """The texts of a node and, where it was tested, its accuracy in percent."""
    if row["tested"] == 0:
        return f"{row['rows']:,}"
    return f"{row['rows']:,} · {row['accuracy']:.0%}"


def _node_hover(row: dict) -> str:
    facts = f"<b>{one_line(row['id'], 80)}</b><br>{row['rows']:,} texts"
    if row["tested"] == 0:
        return f"{facts}<br>no test texts"
    right = f"{percent(row['accuracy'])} of {row['tested']:,} test texts"
    return f"{facts}<br>path right: {right}"


def level_curves(scores: pd.DataFrame, *, layer_names: Sequence[str] = ()) -> go.Figure:
    """The validation accuracy of the probes of each level by layer.

    The layer in use is marked. Each point carries its level and layer for clicks.
    """
    traces = []
    for position, (_, part) in enumerate(scores.groupby("column", sort=False)):
        colour = PALETTE[position % len(PALETTE)]
        traces.append(_level_curve(part, colour, layer_names))
        chosen = part.loc[part["chosen"].astype(bool)]
        at = chosen["layer"], chosen["accuracy"]
        mark = outlines(*at, size=19, colour=MARK, width=2.5, showlegend=False)
        traces.append(mark)
    return settle(
        figure_of(traces),
        height=380,
        top=50,
        legend=True,
        xaxis=layer_axis(sorted(scores["layer"].unique()), title="layer"),
        yaxis={
            "title": "validation accuracy",
            "tickformat": ticks_among(scores["accuracy"]),
        },
    )


def _level_curve(
    part: pd.DataFrame, colour: str, layer_names: Sequence[str]
) -> dict[str, Any]:
    """The accuracy of one level by layer, with its intervals."""
    return {
        "type": "scatter",
        "x": part["layer"],
        "y": part["accuracy"],
        "mode": "lines+markers",
        "name": one_line(part["column"].iloc[0]),
        "line": {"color": colour, "width": 2.2},
        "marker": {"color": colour, "size": 8},
        "error_y": interval_bars(
            part,
            "accuracy",
            "accuracy_low",
            "accuracy_high",
            color=thin(colour),
            thickness=1.2,
            width=0,
        ),
        "customdata": part[["level", "layer"]].to_numpy(),
        "hovertext": [_level_hover(row, layer_names) for row in records(part)],
        "hoverinfo": "text",
    }


def _level_hover(row: dict, names: Sequence[str]) -> str:
    layer = row["layer"]
    where = f" ({one_line(names[layer])})" if layer < len(names) else ""
    bounds = row["accuracy_low"], row["accuracy_high"]
    facts = [
        f"<b>{one_line(row['column'])} · layer {layer}</b>{where}",
        f"accuracy {percent(row['accuracy'])}",
        f"95 %: {interval(bounds)}",
        f"n = {row['n']:,} validation texts",
    ]
    if np.isfinite(row["nu"]):
        facts.append(f"ν = {row['nu']:.3g}")
    return "<br>".join(facts)


def _written(
    counts: pd.DataFrame,
    shares: pd.DataFrame,
    names: Sequence[str],
    rows: Sequence[str],
) -> go.Scatter:
    """The counts that are not zero, in a colour that is legible on their square."""
    true, predicted = (index.tolist() for index in np.nonzero(counts.to_numpy()))
    is_dark = shares.to_numpy()[true, predicted] > 0.4
    return go.Scatter(
        x=[names[n] for n in predicted],
        y=[rows[n] for n in true],
        mode="text",
        text=[str(n) for n in counts.to_numpy()[true, predicted]],
        textfont={
            "color": ["#FFFFFF" if dark else GREY for dark in is_dark],
            "size": 12,
        },
        hoverinfo="skip",
    )


def confusion_map(counts: pd.DataFrame) -> go.Figure:
    """The counts by true and predicted child; shade is the share of the true child."""
    totals = counts.sum(axis=1).clip(lower=1)
    shares = counts.div(totals, axis=0)
    names = short_names(list(counts.columns), 22)
    rows = short_names(list(counts.index), 22)
    figure = go.Figure(
        go.Heatmap(
            z=shares.to_numpy(),
            x=names,
            y=rows,
            text=counts.to_numpy(),
            zmin=0,
            zmax=1,
            colorscale=sequential_scale(),
            showscale=False,
            xgap=1,
            ygap=1,
            hovertemplate="true %{y}<br>predicted %{x}<br>%{text} texts<extra></extra>",
        )
    )
    if len(names) <= MOST_WRITTEN:
        figure.add_trace(_written(counts, shares, names, rows))
    return settle(
        figure,
        height=140 + 30 * max(4, min(len(rows), 24)),
        bottom=110,
        xaxis={"title": "predicted", "showgrid": False, "tickangle": 55},
        yaxis={"title": "true", "autorange": "reversed", "showgrid": False},
    )
