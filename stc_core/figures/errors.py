"""Figures of errors: the confusion matrix, calibration and coverage.

In the matrix green is right and red is wrong; stronger means a larger share of the row.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Int

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
    interval_bars,
    one_line,
    outlines,
    settle,
    short_names,
    thin,
)
from stc_core.frames import records

MOST_CONFUSED = 14
"""The most classes that a matrix shows: with more it does not fit beside its texts."""
_ALL = "all"
_SIZES = ((5, 44), (8, 34), (10, 22), (MOST_CONFUSED, 18))
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
    matrix = _matrix_of(whole, shown)
    traces = [
        _empty_cells(matrix),
        *_filled_cells(matrix),
        _totals(matrix),
        *_picked_outline(matrix, picked),
    ]
    k, axis = matrix.k, _cell_axis(matrix)
    return settle(
        figure_of(traces),
        height=136 + round((k + 1.3) * (matrix.square + 7)),
        top=120,
        bottom=16,
        xaxis={
            **axis,
            "title": {"text": "predicted", "standoff": 8},
            "side": "top",
            "tickangle": -50 if k > 3 else 0,
            "range": [-0.6, k + 0.9],
        },
        yaxis={
            **axis,
            "title": {"text": "label", "standoff": 20},
            "range": [k + 0.9, -0.6],
        },
    )


class _Matrix(NamedTuple):
    """The cells to draw, the totals over all classes, and the size of a square."""

    names: Sequence[str]
    counts: Int[np.ndarray, "k k"]
    of_label: Int[np.ndarray, " k"]
    predicted: Int[np.ndarray, " k"]
    square: int  # pixels

    @property
    def k(self) -> int:
        return len(self.names)


def _matrix_of(whole: Confusion, shown: Sequence[str]) -> _Matrix:
    part = whole.of(shown)
    k, rows = len(part.classes), [whole.classes.index(name) for name in shown]
    return _Matrix(
        names=part.classes,
        counts=part.counts,
        of_label=whole.counts.sum(axis=1)[rows],
        predicted=whole.counts.sum(axis=0)[rows],
        square=next((size for most, size in _SIZES if k <= most), 12),
    )


def _cell_axis(matrix: _Matrix) -> dict[str, Any]:
    """What both axes have in common: the names of the classes, and one for all."""
    return {
        "tickvals": [*range(matrix.k), matrix.k + 0.3],
        "ticktext": [*short_names(matrix.names, 16), _ALL],
        "showgrid": False,
        "fixedrange": True,
    }


def _empty_cells(matrix: _Matrix) -> dict[str, Any]:
    row, column = np.nonzero(matrix.counts == 0)
    line = {"width": 1, "color": "rgba(128, 138, 150, 0.18)"}
    return {
        "type": "scatter",
        "x": column,
        "y": row,
        "mode": "markers",
        "marker": {
            "symbol": "square",
            "size": matrix.square,
            "color": "rgba(0,0,0,0)",
            "line": line,
        },
        "hoverinfo": "skip",
    }


def _filled_cells(matrix: _Matrix) -> list[dict[str, Any]]:
    """The squares of cells that are not empty: the strong ones, then the others."""
    size, (row, column) = matrix.square, np.nonzero(matrix.counts)
    n, total = matrix.counts[row, column], matrix.of_label[row]
    # Errors are rarer than right answers, so their colour is full at half a row.
    opacity = 0.15 + 0.7 * np.minimum(1.0, n / total * np.where(row == column, 1, 2))
    colours = [
        Colour(*ACTIVE).css(full) if i == j else thin(MARK, full)
        for i, j, full in zip(row, column, opacity, strict=True)
    ]
    pairs = np.array(matrix.names, dtype=object)[np.stack([row, column], axis=1)]
    hovers = [
        _cell_hover(label, guess, count, of)
        for (label, guess), count, of in zip(
            pairs, n.tolist(), total.tolist(), strict=True
        )
    ]
    is_strong = opacity > _STRONG
    return [
        {
            "x": column[which],
            "y": row[which],
            "customdata": pairs[which].tolist(),
            "hovertext": np.array(hovers, dtype=object)[which],
            **_numbered(n[which], np.array(colours, dtype=object)[which], size, text),
        }
        for which, text in ((is_strong, "white"), (~is_strong, None))
    ]


def _cell_hover(label: str, predicted: str, n: int, total: int) -> str:
    what = f"{one_line(label)} predicted as {one_line(predicted)}"
    if label == predicted:
        what = f"{one_line(label)}, rightly"
    return f"{what}<br>{n:,} of {total:,} ({percent(n / total)})"


def _totals(matrix: _Matrix) -> dict[str, Any]:
    """The squares of whole rows, at the right, and of whole columns, at the bottom."""
    k, names = matrix.k, matrix.names
    hovers = [
        f"{what} {one_line(name)}: {count:,}"
        for what, counts in (
            ("label", matrix.of_label),
            ("predicted", matrix.predicted),
        )
        for name, count in zip(names, counts, strict=True)
    ]
    n = np.concatenate([matrix.of_label, matrix.predicted])
    return {
        "x": [k + 0.3] * k + list(range(k)),
        "y": [*range(k)] + [k + 0.3] * k,
        "customdata": [
            *([name, None] for name in names),
            *([None, name] for name in names),
        ],
        "hovertext": hovers,
        **_numbered(n, ["rgba(0,0,0,0)"] * 2 * k, matrix.square),
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


def _picked_outline(
    matrix: _Matrix, picked: tuple[str | None, str | None]
) -> list[dict[str, Any]]:
    """The outline of the picked square; empty if no shown square is picked."""
    k, names = matrix.k, matrix.names
    are_shown = [name is None or name in names for name in picked]
    if picked == (None, None) or not all(are_shown):
        return []
    row, column = (k + 0.3 if name is None else names.index(name) for name in picked)
    size, symbol = matrix.square + 4, "square-open"
    return [outlines([column], [row], size=size, colour=GREY, symbol=symbol)]


def calibration_curve(
    after: pd.DataFrame, before: pd.DataFrame | None = None
) -> go.Figure:
    """Accuracy by confidence of `calibration_bins`, and the line where they agree.

    `before` has the bins of the probabilities before the temperature.
    """
    traces = [_agreement_line()]
    if before is not None:
        traces.append(_bin_curve(before, "before the temperature", GREY, "dot"))
    final = _bin_curve(after, "final probabilities", PALETTE[0], "solid")
    final["error_y"] = interval_bars(
        after,
        "accuracy",
        "accuracy_low",
        "accuracy_high",
        color=thin(PALETTE[0]),
        thickness=1.5,
        width=0,
    )
    traces.append(final)
    return settle(
        figure_of(traces),
        height=340,
        top=44,
        legend=True,
        xaxis={"title": "confidence", "tickformat": ".0%", "range": [0, 1.02]},
        yaxis={"title": "accuracy", "tickformat": ".0%", "range": [-0.04, 1.04]},
    )


def _agreement_line() -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": [0, 1],
        "y": [0, 1],
        "mode": "lines",
        "name": "perfect calibration",
        "line": {"color": FAINT, "width": 2},
        "hoverinfo": "skip",
    }


def _bin_curve(bins: pd.DataFrame, name: str, colour: str, dash: str) -> dict[str, Any]:
    """The accuracy of each bin by its confidence."""
    return {
        "type": "scatter",
        "x": bins["confidence"],
        "y": bins["accuracy"],
        "mode": "lines+markers",
        "name": name,
        "line": {"color": colour, "dash": dash, "width": 2.2},
        "marker": {"color": colour, "size": 7},
        "hovertext": [_bin_hover(row, name) for row in records(bins)],
        "hoverinfo": "text",
    }


def _bin_hover(row: dict[str, Any], name: str) -> str:
    bounds = interval((row["accuracy_low"], row["accuracy_high"]))
    return (
        f"{name}<br>confidence {percent(row['confidence'])}<br>"
        f"accuracy {percent(row['accuracy'])} ({bounds}), {row['n']:,} texts"
    )


def coverage_figure(curve: pd.DataFrame, kept: Kept) -> go.Figure:
    """The accuracy of answered texts by the share answered; `kept` is marked."""
    share = curve["coverage"].to_numpy()
    low, high = curve["low"].to_numpy(), curve["high"].to_numpy()
    band = {
        "type": "scatter",
        "x": np.concatenate([share, share[::-1]]),
        "y": np.concatenate([high, low[::-1]]),
        "fill": "toself",
        "fillcolor": thin(PALETTE[0], 0.16),
        "line": {"width": 0},
        "hoverinfo": "skip",
    }
    line = {
        "type": "scatter",
        "x": share,
        "y": curve["accuracy"],
        "mode": "lines",
        "line": {"color": PALETTE[0], "width": 2.2},
        "hovertext": [_coverage_hover(row) for row in records(curve)],
        "hoverinfo": "text",
    }
    # The band of the first few texts may go to the ground; the line stays in sight.
    least = min(low[len(curve) // 8 :].min(), curve["accuracy"].to_numpy().min())
    floor = max(0.0, float(least) - 0.03)
    return settle(
        figure_of([band, line, *_kept_point(kept)]),
        height=340,
        top=44,
        xaxis={"title": "answered", "tickformat": ".0%", "range": [0, 1.02]},
        yaxis={"title": "right of these", "tickformat": ".0%", "range": [floor, 1.01]},
    )


def _coverage_hover(row: dict[str, Any]) -> str:
    return (
        f"confidence of {row['threshold']:.2f} or more<br>{percent(row['coverage'])} "
        f"answered ({row['n']:,})<br>{percent(row['accuracy'])} right "
        f"({interval((row['low'], row['high']))})"
    )


def _kept_point(kept: Kept) -> list[dict[str, Any]]:
    """The point of the texts that are answered; empty if none is."""
    if not kept.n:
        return []
    point = {
        "type": "scatter",
        "x": [kept.coverage],
        "y": [kept.accuracy],
        "mode": "markers",
        "marker": {"color": MARK, "size": 12},
        "hovertext": [f"{percent(kept.accuracy)} of {percent(kept.coverage)}"],
        "hoverinfo": "text",
    }
    return [point]
