"""Figures of one neuron: its weight and activation for each class; its effect."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from stc_core.display import formatted
from stc_core.figures.style import (
    ACTIVE,
    GREY,
    MARK,
    Colour,
    across,
    figure_of,
    lay,
    one_line,
    row_axis,
    row_bars,
    row_positions,
    settle,
    short_names,
    signed,
)

MOST_ACTIVITY_CLASSES = 12
FEW = 25
"""A class with fewer texts is drawn text by text, as a curve would invent a shape."""
_GRID = 256
ROW_PX = 34
"""The height of the row of a class, in pixels."""
_READER_PX = 64
_LONGEST, _ROOM = 18, 1.8
"""The most letters of a name, and how far the axis goes beyond the longest bar: beside
the map of a window of 1,024 pixels a number still has room between bar and name."""


def class_rows(
    weights: Mapping[str, float],
    label: str | None = None,
    *,
    most: int = MOST_ACTIVITY_CLASSES,
) -> list[str]:
    """The classes to show, by falling weight: the strongest, and always `label`."""
    strong = sorted(weights, key=lambda name: (name != label, -abs(weights[name])))
    return sorted(strong[:most], key=lambda name: -weights[name])


def weight_bars(
    weights: Mapping[str, float], shown: Sequence[str], *, row_px: int = ROW_PX
) -> go.Figure:
    """Signed bars, one for each class in `shown`, the first on top."""
    values = [weights[name] for name in shown]
    bars = row_bars(
        values,
        texts=[formatted(value, "+.2g") for value in values],
        hovers=[
            f"{one_line(name, 80)}: {formatted(weights[name], '+.4f')}"
            for name in shown
        ],
        width=0.62,
        marker={"color": [signed(value).css(0.9) for value in values]},
    )
    zero = across("x", 0.0, line={"color": GREY, "width": 1})
    figure = figure_of([bars], shapes=[zero])
    reach = _ROOM * (max(map(abs, values), default=0.0) or 1.0)
    x = {
        "title": "logit change per SD",
        "range": [-reach, reach],
        "nticks": 4,
        "tickangle": 0,
    }
    return _by_class(figure, shown, x, row_px=row_px)


def density_rows(
    values: Float[np.ndarray, " n"],
    labels: np.ndarray,
    shown: Sequence[str],
    *,
    marks: Mapping[str, float] | None = None,
    row_px: int = ROW_PX,
) -> go.Figure:
    """The density of the activations of each class in `shown`, one below another.

    It is a Gaussian kernel density (Silverman's rule), scaled to its own peak and drawn
    only between the lowest and the highest value of the class. A tick marks the median.
    A class of fewer than FEW texts, or of one value, has a tick for each text. `marks`
    are named values at which a line is drawn. The cost to the browser does not grow
    with the number of texts.
    """
    rows, medians = [], {}
    grid = np.linspace(values.min(initial=np.inf), values.max(initial=-np.inf), _GRID)
    for name, position in zip(shown, row_positions(len(shown)), strict=True):
        class_values = values[labels == name]
        area = _density_area(name, class_values, grid, position)
        if area is not None:
            medians[position] = float(np.median(class_values))
        rows.append(area or _text_ticks(name, class_values, position))
    figure = figure_of([*rows, _median_ticks(medians)], **_marks(marks, len(shown)))
    axis = {"title": "pooled activation", "showgrid": True}
    return _by_class(figure, shown, axis, top=34 if marks else 16, row_px=row_px)


def _density_area(
    name: str,
    values: Float[np.ndarray, " n"],
    grid: Float[np.ndarray, " grid"],
    position: int,
) -> dict[str, Any] | None:
    """The density of the values of a class; None if they are few or all equal."""
    curve = _density(values, grid) if len(values) >= FEW else None
    if curve is None:
        return None
    is_inside = (grid >= values.min()) & (grid <= values.max())
    x, foot = grid[is_inside], position - 0.4
    return {
        "type": "scatter",
        "x": x[[0, *range(len(x)), -1]],
        "y": np.concatenate([[foot], foot + 0.86 * curve[is_inside], [foot]]),
        "mode": "lines",
        "fill": "toself",
        "fillcolor": Colour(*ACTIVE).css(0.35),
        "line": {"color": Colour(*ACTIVE).css(0.95), "width": 1.4},
        "hovertext": f"{one_line(name)}: {len(values):,} texts, "
        f"median {float(np.median(values)):.3g}",
        "hoverinfo": "text",
        "hoveron": "points+fills",
    }


def _median_ticks(medians: Mapping[int, float]) -> dict[str, Any]:
    """A tick at the median of each row, given by the position of the row."""
    return {
        "type": "scatter",
        "x": list(medians.values()),
        "y": [position - 0.26 for position in medians],
        "mode": "markers",
        "marker": {
            "symbol": "line-ns-open",
            "size": 10,
            "color": GREY,
            "line": {"width": 2},
        },
        "hoverinfo": "skip",
    }


def _density(
    values: Float[np.ndarray, " n"], grid: Float[np.ndarray, " grid"]
) -> Float[np.ndarray, " grid"] | None:
    """The kernel density on an even grid, scaled to a peak of 1; None for one value."""
    low, high = np.quantile(values, (0.25, 0.75))
    spreads = [s for s in (float(np.std(values)), (high - low) / 1.34) if s > 0]
    if not spreads or grid[-1] <= grid[0]:
        return None
    step = grid[1] - grid[0]
    width = max(0.9 * min(spreads) * len(values) ** -0.2, step)
    edges = np.append(grid - step / 2, grid[-1] + step / 2)
    counts, _ = np.histogram(values, bins=edges)
    reach = np.arange(-len(grid) + 1, len(grid)) * step
    kernel = np.exp(-0.5 * (reach / width) ** 2)
    curve = np.convolve(counts, kernel, mode="full")[len(grid) - 1 : 2 * len(grid) - 1]
    return curve / curve.max()


def _text_ticks(
    name: str, values: Float[np.ndarray, " n"], position: int
) -> dict[str, Any]:
    """A tick at each different value; the hover also gives the number of all texts."""
    n = len(values)
    shown_values = np.unique(values)[:_GRID] if n else values
    return {
        "type": "scatter",
        "x": shown_values,
        "y": [position] * len(shown_values),
        "mode": "markers",
        "marker": {
            "symbol": "line-ns-open",
            "size": 16,
            "color": Colour(*ACTIVE).css(0.95),
            "line": {"width": 1.6},
        },
        "hovertext": [
            f"{one_line(name)}: {value:.3g}, of {n:,} texts" for value in shown_values
        ],
        "hoverinfo": "text",
    }


def _marks(
    marks: Mapping[str, float] | None, n_rows: int
) -> dict[str, list[dict[str, Any]]]:
    """The shapes and annotations that mark these named values."""
    named = (marks or {}).items()
    shapes = [
        {
            "type": "line",
            "x0": value,
            "x1": value,
            "y0": -0.6,
            "y1": n_rows - 0.3,
            "line": {"color": MARK, "width": 1.6, "dash": "dot"},
        }
        for _, value in named
    ]
    annotations = [
        {
            "x": value,
            "y": 1,
            "yref": "paper",
            "yanchor": "bottom",
            "text": one_line(name, 24),
            "showarrow": False,
            "font": {"size": 12, "color": MARK},
        }
        for name, value in named
    ]
    return {"shapes": shapes, "annotations": annotations}


def activation_rows(
    values: Float[np.ndarray, " n"],
    labels: np.ndarray,
    shown: Sequence[str],
    *,
    bins: int = 48,
    marks: Mapping[str, float] | None = None,
    row_px: int = ROW_PX,
) -> go.Figure:
    """A histogram of the activations of each class in `shown`, one below another.

    Each is scaled to its own peak, so that the shapes of small and large classes can be
    compared; the numbers are shown on hover. The values are binned here, so a million
    texts cost the browser no more than a hundred.
    """
    edges = np.histogram_bin_edges(values, bins=bins)
    counts = [np.histogram(values[labels == name], bins=edges)[0] for name in shown]
    positions = row_positions(len(shown))
    rows = [
        {
            "type": "bar",
            "x": (edges[:-1] + edges[1:]) / 2,
            "y": 0.86 * count / max(count.max(), 1),
            "base": position - 0.4,
            "width": edges[1] - edges[0],
            "marker": {"color": Colour(*ACTIVE).css(0.85), "line": {"width": 0}},
            "hovertext": _bin_hovers(name, edges, count),
            "hoverinfo": "text",
        }
        for name, count, position in zip(shown, counts, positions, strict=True)
    ]
    figure = figure_of(rows, **_marks(marks, len(shown)))
    lay(figure, barmode="overlay")
    axis = {"title": "pooled activation", "showgrid": True}
    return _by_class(figure, shown, axis, top=34 if marks else 16, row_px=row_px)


def _bin_hovers(name: str, edges: np.ndarray, counts: np.ndarray) -> list[str]:
    total = int(counts.sum())
    return [
        f"{one_line(name)}<br>{low:.3g} to {high:.3g}: {n:,} of {total:,} texts"
        for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True)
    ]


def _by_class(
    figure: go.Figure, shown: Sequence[str], x: dict, *, row_px: int, top: int = 16
) -> go.Figure:
    """The layout of a figure with a row for each class."""
    return settle(
        figure,
        top=top,
        height=80 + row_px * max(len(shown), 3),
        xaxis=x,
        yaxis=row_axis(short_names(shown, _LONGEST), range=[-0.6, len(shown) - 0.3]),
    )


def effect_dots(
    changes: Mapping[str, float],
    random: Mapping[str, Sequence[float]],
    changed: str = "these neurons",
    sets: str = "random sets",
) -> go.Figure:
    """A row for each reader: its change as a mark, those of random `sets` as dots.

    Both are in logits of the predicted class's margin. `changed` and `sets` are what
    the legend calls them.
    """
    readers = list(changes)
    rows = dict(zip(readers, row_positions(len(readers)), strict=True))
    others = {
        "type": "scatter",
        "mode": "markers",
        "name": sets,
        "x": [value for reader in readers for value in random.get(reader, ())],
        "y": [rows[reader] for reader in readers for _ in random.get(reader, ())],
        "marker": {"size": 9, "color": GREY, "opacity": 0.45},
        "hovertemplate": "%{x:.3f}<extra></extra>",
    }
    ours = {
        "type": "scatter",
        "mode": "markers+text",
        "name": changed,
        "x": [changes[reader] for reader in readers],
        "y": [rows[reader] for reader in readers],
        "text": [f"{changes[reader]:.3f}" for reader in readers],
        "textposition": "top center",
        "cliponaxis": False,
        "marker": {"size": 14, "color": MARK, "symbol": "diamond"},
        "hovertemplate": "%{x:.3f}<extra></extra>",
    }
    figure = figure_of([others, ours])
    above = 18 / (18 + _READER_PX * len(readers))
    lay(
        figure,
        height=110 + _READER_PX * len(readers),
        margin={"l": 0, "r": 24, "t": 52, "b": 40},
        xaxis={"title": "change of the margin, in logits", "rangemode": "tozero"},
        yaxis=row_axis(readers),
        showlegend=True,
        # Above the number of the first row.
        legend={"orientation": "h", "x": 0, "y": 1 + above, "yanchor": "bottom"},
    )
    return figure
