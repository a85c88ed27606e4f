"""Figures of a hierarchy: the tree, the layer of each level, mistakes in a parent."""

from collections.abc import Sequence

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
    one_line,
    sequential_scale,
    settle,
    thin,
    ticks_among,
)
from stc_core.frames import records

UNKNOWN, ROOT = Colour(134, 142, 153), Colour(74, 85, 99)
MOST_WRITTEN = 24
"""The most columns of a confusion map with room for numbers."""


def tree_figure(nodes: pd.DataFrame, *, root: str = "all texts") -> go.Figure:
    """The tree as an icicle chart: size by texts, colour by accuracy; a click zooms in.

    Each node shows its texts and its accuracy; a node without test texts is grey. The
    root has an id that no label has, because Plotly leaves a root without id empty.
    """
    sizes = zip(nodes["level"], nodes["rows"], strict=True)
    total = sum(int(rows) for level, rows in sizes if level == 1)
    known = nodes["accuracy"].notna()
    shares = nodes["accuracy"].astype(float).fillna(0)
    colours = [
        _blend(share) if there else UNKNOWN
        for share, there in zip(shares, known, strict=True)
    ]
    hovers = [_node_hover(row) for row in records(nodes)]
    figure = go.Figure(
        go.Icicle(
            ids=[SEPARATOR, *nodes["id"]],
            parents=["", *(parent or SEPARATOR for parent in nodes["parent"])],
            labels=[one_line(root), *(one_line(label, 18) for label in nodes["label"])],
            values=[total, *nodes["rows"]],
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
    )
    levels = nodes["level"].tolist()
    height = max(420, min(22 * levels.count(max(levels)), 900))
    figure.add_trace(_colour_bar())
    return settle(
        figure,
        height=height + 60,
        top=8,
        bottom=68,
        uniformtext={"minsize": 10, "mode": "hide"},
        xaxis={"visible": False},
        yaxis={"visible": False},
    )


def _colour_bar() -> go.Scatter:
    """An empty trace that draws only the colour scale of the accuracy."""
    scale = [[step / 10, _blend(step / 10).css()] for step in range(11)]
    return go.Scatter(
        x=[None],
        y=[None],
        mode="markers",
        marker={
            "colorscale": scale,
            "cmin": 0,
            "cmax": 1,
            "color": [0],
            "showscale": True,
            "colorbar": {
                "title": {"text": "accuracy", "side": "bottom"},
                "tickformat": ".0%",
                "thickness": 10,
                "len": 0.6,
                "orientation": "h",
                "y": -0.04,
                "yanchor": "top",
            },
        },
        hoverinfo="skip",
    )


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
    figure = go.Figure()
    columns = list(dict.fromkeys(scores["column"]))
    for place, column in enumerate(columns):
        part = scores.loc[scores["column"] == column]
        colour = PALETTE[place % len(PALETTE)]
        figure.add_trace(
            go.Scatter(
                x=part["layer"],
                y=part["accuracy"],
                mode="lines+markers",
                name=one_line(column),
                line={"color": colour, "width": 2.2},
                marker={"color": colour, "size": 8},
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": part["accuracy_high"] - part["accuracy"],
                    "arrayminus": part["accuracy"] - part["accuracy_low"],
                    "color": thin(colour),
                    "thickness": 1.2,
                    "width": 0,
                },
                customdata=part[["level", "layer"]].to_numpy(),
                hovertext=[_level_hover(row, layer_names) for row in records(part)],
                hoverinfo="text",
            )
        )
        chosen = part.loc[part["chosen"].astype(bool)]
        figure.add_trace(
            go.Scatter(
                x=chosen["layer"],
                y=chosen["accuracy"],
                mode="markers",
                marker={
                    "symbol": "circle-open",
                    "size": 19,
                    "color": MARK,
                    "line": {"width": 2.5},
                },
                hoverinfo="skip",
                showlegend=False,
            )
        )
    layers = sorted(scores["layer"].unique())
    return settle(
        figure,
        height=380,
        top=50,
        legend=True,
        xaxis={"title": "layer", "tickvals": layers, "showgrid": False},
        yaxis={
            "title": "validation accuracy",
            "tickformat": ticks_among(scores["accuracy"]),
        },
    )


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
    true, predicted = (places.tolist() for places in np.nonzero(counts.to_numpy()))
    dark = shares.to_numpy()[true, predicted] > 0.4
    return go.Scatter(
        x=[names[n] for n in predicted],
        y=[rows[n] for n in true],
        mode="text",
        text=[str(n) for n in counts.to_numpy()[true, predicted]],
        textfont={"color": ["#FFFFFF" if one else GREY for one in dark], "size": 12},
        hoverinfo="skip",
    )


def confusion_map(counts: pd.DataFrame) -> go.Figure:
    """The counts by true and predicted child; shade is the share of the true child."""
    totals = counts.sum(axis=1).clip(lower=1)
    shares = counts.div(totals, axis=0)
    names = [one_line(name, 22) for name in counts.columns]
    rows = [one_line(name, 22) for name in counts.index]
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
