"""Figures of the layers: the scores of the probes by site and pooling, and baselines.

The colour shows the pooling; line and marker show the kind of site.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from stc_core.analysis.layer_scores import Score
from stc_core.display import OURS, baseline_name, interval, percent
from stc_core.figures.style import (
    FAINT,
    GREY,
    MARK,
    PALETTE,
    across,
    figure_of,
    layer_axis,
    one_line,
    settle,
    share_ticks,
    thin,
)
from stc_core.frames import records
from stc_core.poolings import POOLING_RULES
from stc_core.runs.metrics import RunMetrics
from stc_core.types import SITE_KINDS

_DASHES = {"resid": "solid", "mlp": "dash"}
_SYMBOLS = {"resid": "circle", "mlp": "square"}
_CONTROL = "control: shuffled labels"
_PICKED_LINE = {"color": FAINT, "width": 14}
_LABEL_SHARE = 0.055  # height of a line's label, as a share of the axis
_LONGEST = 25  # letters of a line's name, so that its score fits beside it, too


class _Line(NamedTuple):
    """A score that does not depend on the layer, and the split it was measured on."""

    name: str
    value: float
    split: str
    n: int
    low: float | None = None
    high: float | None = None
    ours: bool = False


def reference_lines(metrics: RunMetrics, score: Score) -> list[_Line]:
    """The classifier and its baselines as lines, the classifier first.

    The list is empty for a score that the run does not have for them.
    """
    test = metrics["test"]
    if score not in test:
        return []
    lines = [_line(OURS, test, score, test["n"], ours=True)]
    for key, scores in metrics["baselines"].items():
        lines.append(_line(baseline_name(key, metrics), scores, score, test["n"]))
    return lines


def _line(
    name: str, scores: Mapping[str, Any], score: Score, n: int, *, ours: bool = False
) -> _Line:
    low, high = scores.get(f"{score}_interval") or (None, None)
    return _Line(name, scores[score], "test", n, low, high, ours)


def layer_curves(
    points: pd.DataFrame,
    lines: Sequence[_Line] = (),
    *,
    named: str = "accuracy",
    layer_names: Sequence[str] = (),
    picked: int | None = None,
    control: bool = False,
) -> go.Figure:
    """`readings` by layer, one curve per kind and pooling, with `lines` across.

    Each point carries layer, kind and pooling for clicks. Curves are shifted a little
    along the axis, so that their intervals do not overlap. The `control` is one dotted
    line, the mean over all curves.
    """
    curves = _shifted_curves(points, named, layer_names)
    bounds = _bounds(points, lines)
    if control:
        curves.append(_control(points))
        bounds = _lowered(bounds, curves[-1]["y"])
    shapes, names = _lines(lines, bounds)
    if picked is not None:
        shapes.append(across("x", float(picked), line=_PICKED_LINE, layer="below"))
    layers = sorted(points["layer"].unique())
    return settle(
        figure_of(curves, shapes=shapes, annotations=names),
        height=470,
        right=212 if lines else 16,
        top=30 + 19 * -(-len(curves) // 2),  # beside text the legend has two columns
        legend=True,
        xaxis=layer_axis(layers, range=[layers[0] - 0.35, layers[-1] + 0.35]),
        yaxis={
            "title": f"validation {named}",
            "tickformat": share_ticks(bounds[0], bounds[1]),
            "range": bounds,
        },
    )


def _shifted_curves(
    points: pd.DataFrame, named: str, layer_names: Sequence[str]
) -> list[dict[str, Any]]:
    """The curve of each kind and pooling, each shifted a little along the axis."""
    curves = []
    keys = _curves(points)
    for position, (kind, pooling) in enumerate(keys):
        part = points.loc[(points["kind"] == kind) & (points["pooling"] == pooling)]
        shift = 0.0 if len(keys) < 2 else 0.22 * (position / (len(keys) - 1) - 0.5)
        curves.append(_curve(part, named, layer_names, shift))
    return curves


def pooling_colour(pooling: str) -> str:
    """The fixed colour of a pooling."""
    known = (*POOLING_RULES, "all")
    index = known.index(pooling) if pooling in known else len(known)
    return PALETTE[(0, 3, 1, 2, 5, 7)[index]]


def _curves(best: pd.DataFrame) -> list[tuple[str, str]]:
    """(kind, pooling) of each curve, in the order of the vocabulary."""
    pairs = zip(best["kind"], best["pooling"], strict=True)
    known = {(str(kind), str(pooling)) for kind, pooling in pairs}
    others = sorted({pool for _, pool in known} - POOLING_RULES.keys())
    return [
        (kind, pool)
        for kind in SITE_KINDS
        for pool in (*POOLING_RULES, *others)
        if (kind, pool) in known
    ]


def _curve(
    part: pd.DataFrame, named: str, layer_names: Sequence[str], shift: float
) -> dict[str, Any]:
    rows = records(part)
    kind, pooling = rows[0]["kind"], rows[0]["pooling"]
    colour = pooling_colour(pooling)
    return {
        "type": "scatter",
        "x": [row["layer"] + shift for row in rows],
        "y": [row["value"] for row in rows],
        "mode": "lines+markers",
        "name": f"{SITE_KINDS[kind]} · {pooling}",
        "line": {"color": colour, "dash": _DASHES.get(kind, "dot"), "width": 2.2},
        "marker": {"color": colour, "symbol": _SYMBOLS.get(kind, "diamond"), "size": 9},
        "error_y": _error_bars(rows, colour),
        "customdata": [[row["layer"], kind, pooling] for row in rows],
        "hovertext": [_hover(row, named, layer_names) for row in rows],
        "hoverinfo": "text",
    }


def _control(points: pd.DataFrame) -> dict[str, Any]:
    """The mean control over sites and poolings, which differ only by chance."""
    layers = sorted({int(layer) for layer in points["layer"]})
    means = [
        float(np.mean(points.loc[points["layer"] == layer, "control"]))
        for layer in layers
    ]
    return {
        "type": "scatter",
        "x": layers,
        "y": means,
        "mode": "lines",
        "name": _CONTROL,
        "line": {"color": GREY, "dash": "dot", "width": 1.6},
        "hovertext": [f"<b>shuffled labels</b><br>{percent(mean)}" for mean in means],
        "hoverinfo": "text",
    }


def _error_bars(rows: list[dict[str, Any]], colour: str) -> dict[str, Any] | None:
    if all(np.isnan(row["low"]) for row in rows):
        return None
    return {
        "type": "data",
        "symmetric": False,
        "array": [row["high"] - row["value"] for row in rows],
        "arrayminus": [row["value"] - row["low"] for row in rows],
        "color": thin(colour),
        "thickness": 1.2,
        "width": 0,
    }


def _hover(row: dict[str, Any], named: str, names: Sequence[str]) -> str:
    layer = row["layer"]
    where = f" ({one_line(names[layer])})" if layer < len(names) else ""
    facts = [
        f"<b>{row['site']} · {one_line(row['pooling'])}</b>{where}",
        f"{named} {percent(row['value'])}",
    ]
    if not np.isnan(row["low"]):
        facts.append(f"95 %: {interval((row['low'], row['high']))}")
    if not np.isnan(row["control"]):
        facts.append(f"shuffled labels: {percent(row['control'])}")
    facts.append(f"n = {row['n']:,} validation texts")
    facts.append(f"C = {row['C']:.3g}, {row['nonzeros']:,} weights not zero")
    return "<br>".join(facts)


def _bounds(points: pd.DataFrame, lines: Sequence[_Line]) -> list[float]:
    """The range of the axis: all curves with their intervals, and nearby lines."""
    low = float(np.nanmin(points[["value", "low"]].to_numpy(float)))
    high = float(np.nanmax(points[["value", "high"]].to_numpy(float)))
    reach = max(high - low, 0.05)
    near = [line.value for line in lines if line.value > low - 0.25 * reach]
    low, high = min([low, *near]), max([high, *near])
    pad = 0.05 * (high - low)
    return [low - pad if low < 0 else max(0.0, low - pad), min(1.005, high + pad)]


def _lowered(bounds: Sequence[float], means: Sequence[float]) -> list[float]:
    """The range of the axis, with its lower end moved down to show these means too."""
    lowest = min((mean for mean in means if not np.isnan(mean)), default=1.0)
    return [max(0.0, min(bounds[0], lowest - 0.03)), bounds[1]]


def _lines(
    lines: Sequence[_Line], bounds: Sequence[float]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Horizontal lines, and labels on the right that do not cover each other.

    A line below the axis is named at the lower edge.
    """
    gap = _LABEL_SHARE * (bounds[1] - bounds[0])
    order = sorted(lines, key=lambda line: -line.value)
    wanted = [max(line.value, bounds[0]) for line in order]
    shapes, labels = [], []
    for line, height in zip(order, _spread(wanted, gap, bounds), strict=True):
        below = line.value < bounds[0]
        colour = MARK if line.ours else GREY
        if not below:
            style = {
                "color": colour,
                "dash": "solid" if line.ours else "dot",
                "width": 2 if line.ours else 1.2,
            }
            shapes.append(across("y", line.value, line=style, layer="below"))
        arrow = " ↓" if below else ""
        label = {
            "x": 1,
            "y": height,
            "xref": "paper",
            "xanchor": "left",
            "xshift": 6,
            "showarrow": False,
            "align": "left",
            "font": {"color": colour, "size": 12},
            "text": f"{one_line(line.name, _LONGEST)} {percent(line.value)}{arrow}",
            "hovertext": _line_hover(line),
        }
        labels.append(label)
    return shapes, labels


def _line_hover(line: _Line) -> str:
    facts = f"{one_line(line.name)}: {percent(line.value)}"
    if line.low is not None and line.high is not None:
        facts += f"<br>95 %: {interval((line.low, line.high))}"
    return facts + f"<br>n = {line.n:,} {line.split} texts"


def _spread(
    wanted: Sequence[float], gap: float, bounds: Sequence[float]
) -> list[float]:
    """The positions `wanted` (falling), moved to be `gap` apart and within `bounds`.

    They move as little as possible and keep their order. If `bounds` are too short, the
    lowest ones go below them.
    """
    heights: list[float] = []
    for value in wanted:
        heights.append(min(value, heights[-1] - gap) if heights else value)
    floor = bounds[0]
    for at in range(len(heights) - 1, -1, -1):
        heights[at] = max(heights[at], floor)
        floor = heights[at] + gap
    over = max(0.0, heights[0] - bounds[1]) if heights else 0.0
    return [height - over for height in heights]
