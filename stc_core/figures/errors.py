"""Figures of errors: the confusion matrix, calibration and coverage.

In the matrix green is right and red is wrong; stronger means a larger share of the row.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from stc_core.analysis.calibration import Kept
from stc_core.analysis.confusion import Confusion
from stc_core.display import interval, percent
from stc_core.figures.style import (
    ACTIVE,
    FAINT,
    GREY,
    MARK,
    PALETTE,
    Colour,
    figure_of,
    one_line,
    settle,
    thin,
)
from stc_core.frames import records

MOST_CONFUSED = 20
"""The most classes that a matrix shows."""
_ALL = "all"
BESIDE = 12
"""The most classes for which a matrix is narrow enough to stand beside a table."""
_SIZES = ((5, 44), (8, 34), (BESIDE, 22), (MOST_CONFUSED, 24))
_STRONG = 0.45  # opacity from which white numbers read better


def confusion_matrix(
    whole: Confusion,
    shown: Sequence[str],
    *,
    picked: tuple[str | None, str | None] = (None, None),
) -> go.Figure:
    """A square for each cell of the classes `shown`, and one for each row and column.

    The squares of rows and columns count all classes, and colours are shares of all
    classes. Each square carries (label, predicted) for clicks, with None for all
    classes; empty cells carry nothing. `picked` is outlined. It is not a heatmap,
    because the cells of a heatmap cannot be clicked.
    """
    found = whole.of(shown)
    k, counts = len(found.classes), found.counts
    size = next((size for most, size in _SIZES if k <= most), 12)
    at = [whole.classes.index(name) for name in shown]
    n, guessed = whole.counts.sum(axis=1)[at], whole.counts.sum(axis=0)[at]
    traces = [
        _empty_cells(counts, size),
        *_squares(found, n, size),
        _totals(found.classes, n, guessed, size),
        *_outline(found, picked, size),
    ]
    names = [one_line(name, 16) for name in found.classes]
    ticks = [*range(k), k + 0.3]
    return settle(
        figure_of(traces),
        height=150 + round((k + 1.3) * (size + 7)),
        top=120,
        bottom=16,
        xaxis={
            "title": {"text": "predicted", "standoff": 8},
            "side": "top",
            "tickvals": ticks,
            "ticktext": [*names, _ALL],
            "tickangle": -50 if k > 3 else 0,
            "showgrid": False,
            "fixedrange": True,
            "range": [-0.6, k + 0.9],
        },
        yaxis={
            "title": {"text": "label", "standoff": 20},
            "tickvals": ticks,
            "ticktext": [*names, _ALL],
            "showgrid": False,
            "fixedrange": True,
            "range": [k + 0.9, -0.6],
        },
    )


def _empty_cells(counts: np.ndarray, size: int) -> dict[str, Any]:
    row, column = np.nonzero(counts == 0)
    line = {"width": 1, "color": "rgba(128, 138, 150, 0.18)"}
    return {
        "type": "scatter",
        "x": column,
        "y": row,
        "mode": "markers",
        "marker": {
            "symbol": "square",
            "size": size,
            "color": "rgba(0,0,0,0)",
            "line": line,
        },
        "hoverinfo": "skip",
    }


def _squares(found: Confusion, of_label: np.ndarray, size: int) -> list[dict[str, Any]]:
    """The squares of cells that are not empty: the strong ones, then the others."""
    row, column = np.nonzero(found.counts)
    n = found.counts[row, column]
    of = of_label[row]
    # Errors are rarer than right answers, so their colour is full at half a row.
    opacity = 0.15 + 0.7 * np.minimum(1.0, n / of * np.where(row == column, 1, 2))
    right = Colour(*ACTIVE)
    colours = np.array(
        [
            right.css(full) if at == taken else thin(MARK, full)
            for at, taken, full in zip(row, column, opacity, strict=True)
        ],
        dtype=object,
    )
    cells = np.stack([row, column], axis=1)
    names = found.classes
    hover = [
        f"{one_line(names[i])} predicted as {one_line(names[j])}"
        if i != j
        else f"{one_line(names[i])}, rightly"
        for i, j in zip(row, column, strict=True)
    ]
    shares = (
        f"<br>{count:,} of {total:,} ({percent(count / total)})"
        for count, total in zip(n, of, strict=True)
    )
    hover_text = np.array(
        [a + b for a, b in zip(hover, shares, strict=True)], dtype=object
    )
    strong = opacity > _STRONG
    return [
        {
            "x": column[which],
            "y": row[which],
            "customdata": [[names[i], names[j]] for i, j in cells[which]],
            "hovertext": hover_text[which],
            **_numbered(n[which], colours[which], size, text),
        }
        for which, text in ((strong, "white"), (~strong, None))
    ]


def _totals(
    names: Sequence[str], n: np.ndarray, guessed: np.ndarray, size: int
) -> dict[str, Any]:
    """The squares of whole rows, at the right, and of whole columns, at the bottom."""
    k = len(names)
    hover = [
        f"label {one_line(name)}: {count:,}"
        for name, count in zip(names, n, strict=True)
    ] + [
        f"predicted {one_line(name)}: {count:,}"
        for name, count in zip(names, guessed, strict=True)
    ]
    return {
        "x": [k + 0.3] * k + list(range(k)),
        "y": [*range(k)] + [k + 0.3] * k,
        "customdata": [[name, None] for name in names]
        + [[None, name] for name in names],
        "hovertext": hover,
        **_numbered(np.concatenate([n, guessed]), ["rgba(0,0,0,0)"] * 2 * k, size),
    }


def _numbered(
    n: np.ndarray, colours: Any, size: int, text: str | None = None
) -> dict[str, Any]:
    """A trace of squares with their numbers in them, in the colour `text`."""
    line = {"width": 1, "color": "rgba(128, 138, 150, 0.45)"}
    return {
        "type": "scatter",
        "mode": "markers+text",
        "marker": {"symbol": "square", "size": size, "color": colours, "line": line},
        "text": [
            f"{count:,}" if count < 1000 else f"{count / 1000:.0f}k" for count in n
        ],
        "textfont": {"size": 12 if size > 21 else 9, "color": text},
        "hoverinfo": "text",
    }


def _outline(
    found: Confusion, picked: tuple[str | None, str | None], size: int
) -> list[dict[str, Any]]:
    """The outline of the picked square; None if it is not shown."""
    k, names = len(found.classes), found.classes
    known = [name is None or name in names for name in picked]
    if picked == (None, None) or not all(known):
        return []
    row, column = (k + 0.3 if name is None else names.index(name) for name in picked)
    mark = {"symbol": "square-open", "size": size + 4, "color": GREY}
    outline = {
        "type": "scatter",
        "x": [column],
        "y": [row],
        "mode": "markers",
        "marker": {**mark, "line": {"width": 3}},
        "hoverinfo": "skip",
    }
    return [outline]


def calibration_curve(
    after: pd.DataFrame, before: pd.DataFrame | None = None
) -> go.Figure:
    """Accuracy by confidence of `calibration_bins`, and the line where they agree.

    `before` has the bins of the probabilities before the temperature.
    """
    figure = go.Figure(
        go.Scatter(
            x=[0, 1],
            y=[0, 1],
            mode="lines",
            name="confidence = accuracy",
            line={"color": FAINT, "width": 2},
            hoverinfo="skip",
        )
    )
    if before is not None:
        figure.add_trace(_reliability(before, "before the temperature", GREY, "dot"))
    trace = _reliability(after, "final probabilities", PALETTE[0], "solid")
    low, high = after["accuracy_low"].to_numpy(), after["accuracy_high"].to_numpy()
    middle = after["accuracy"].to_numpy()
    trace.update(
        error_y={
            "type": "data",
            "symmetric": False,
            "array": high - middle,
            "arrayminus": middle - low,
            "color": thin(PALETTE[0]),
            "thickness": 1.5,
            "width": 0,
        }
    )
    figure.add_trace(trace)
    return settle(
        figure,
        height=340,
        top=44,
        legend=True,
        xaxis={"title": "confidence", "tickformat": ".0%", "range": [0, 1.02]},
        yaxis={"title": "accuracy", "tickformat": ".0%", "range": [-0.04, 1.04]},
    )


def _reliability(bins: pd.DataFrame, name: str, colour: str, dash: str) -> go.Scatter:
    return go.Scatter(
        x=bins["confidence"],
        y=bins["accuracy"],
        mode="lines+markers",
        name=name,
        line={"color": colour, "dash": dash, "width": 2.2},
        marker={"color": colour, "size": 7},
        hovertext=[_bin_hover(row, name) for row in records(bins)],
        hoverinfo="text",
    )


def _bin_hover(row: dict[str, Any], name: str) -> str:
    bounds = interval((row["accuracy_low"], row["accuracy_high"]))
    return (
        f"{name}<br>confidence {percent(row['confidence'])}<br>"
        f"accuracy {percent(row['accuracy'])} ({bounds}), {row['n']:,} texts"
    )


def coverage_figure(curve: pd.DataFrame, kept: Kept) -> go.Figure:
    """The accuracy of answered texts by the share answered; `kept` is marked."""
    share = curve["coverage"].to_numpy()
    band = np.concatenate([curve["high"].to_numpy(), curve["low"].to_numpy()[::-1]])
    figure = go.Figure(
        go.Scatter(
            x=np.concatenate([share, share[::-1]]),
            y=band,
            fill="toself",
            fillcolor=thin(PALETTE[0], 0.16),
            line={"width": 0},
            hoverinfo="skip",
        )
    )
    hover = [
        f"confidence of {row['threshold']:.2f} or more<br>{percent(row['coverage'])} "
        f"answered ({row['n']:,})<br>{percent(row['accuracy'])} right "
        f"({interval((row['low'], row['high']))})"
        for row in records(curve)
    ]
    figure.add_scatter(
        x=share,
        y=curve["accuracy"],
        mode="lines",
        line={"color": PALETTE[0], "width": 2.2},
        hovertext=hover,
        hoverinfo="text",
    )
    if kept.n:
        figure.add_scatter(
            x=[kept.coverage],
            y=[kept.accuracy],
            mode="markers",
            marker={"color": MARK, "size": 12},
            hovertext=[f"{percent(kept.accuracy)} of {percent(kept.coverage)}"],
            hoverinfo="text",
        )
    # The band of the first few texts may go to the ground; the line stays in sight.
    band_floor = float(curve["low"].to_numpy()[len(curve) // 8 :].min())
    floor = max(0.0, min(band_floor, float(curve["accuracy"].to_numpy().min())) - 0.03)
    return settle(
        figure,
        height=340,
        top=44,
        xaxis={"title": "answered", "tickformat": ".0%", "range": [0, 1.02]},
        yaxis={"title": "right of these", "tickformat": ".0%", "range": [floor, 1.01]},
    )
