"""Figures of the data and of the result of a run, from data frames.

The colours are those of the palette: each split has its own in every figure.
"""

import html
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from stc_core.display import OURS, baseline_name
from stc_core.figures.style import GREY, MARK, PALETTE, interval_bars, short_names
from stc_core.runs.metrics import RunMetrics

MAX_BARS = 36
_LEGEND = {
    "orientation": "h",
    "y": 1,
    "yanchor": "bottom",
    "x": 0,
    "title": "",
    "traceorder": "normal",
}
_SPLITS = {"train": PALETTE[0], "validation": PALETTE[1], "test": PALETTE[2]}
_BAND = "rgba(128, 138, 150, 0.35)"


def class_bars(balance: pd.DataFrame) -> go.Figure:
    """Stacked bars, one bar for each label with a part for each split, in row order.

    The frame has label, split, rows. If there are more than MAX_BARS labels, only the
    first and the last are shown; a row between them says how many are left out.
    """
    labels = list(dict.fromkeys(balance["label"]))
    shown = _ends(labels)
    names = short_names(shown, 34)
    figure = go.Figure()
    for split, part in balance.groupby("split", sort=False):
        rows = part.set_index("label")["rows"].reindex(shown)
        figure.add_bar(
            x=rows.to_numpy(),
            y=names,
            marker_color=_SPLITS.get(str(split), PALETTE[0]),
            customdata=[html.escape(name) for name in shown],
            name=str(split),
            orientation="h",
            hovertemplate="%{customdata}<br>" + str(split) + ": %{x:,}<extra></extra>",
        )
    figure.update_layout(
        barmode="stack",
        bargap=0.25,
        showlegend=balance["split"].nunique() > 1,
        height=95 + 24 * max(len(shown), 5),
        margin={"l": 0, "r": 10, "t": 36, "b": 40},
        legend=_LEGEND,
        xaxis={"title": "rows", "dtick": 1 if np.max(balance["rows"]) < 6 else None},
        yaxis={"autorange": "reversed", "automargin": True, "type": "category"},
    )
    return figure


def _ends(labels: list[str]) -> list[str]:
    if len(labels) <= MAX_BARS:
        return labels
    half = MAX_BARS // 2
    gap = f"… {len(labels) - 2 * half:,} classes between …"
    return [*labels[:half], gap, *labels[-half:]]


def length_bars(bins: pd.DataFrame, *, unit: str = "words") -> go.Figure:
    """Stacked bars of the number of texts by length; takes start, end, split, rows."""
    figure = go.Figure()
    for split, part in bins.groupby("split", sort=False):
        step = part["end"].iloc[0] - part["start"].iloc[0]
        spans = zip(part["start"], part["end"], strict=True)
        figure.add_bar(
            x=part["start"] + step / 2,
            y=part["rows"],
            width=step * 0.92,
            marker_color=_SPLITS.get(str(split), PALETTE[0]),
            name=str(split),
            customdata=[_span(low, high, unit) for low, high in spans],
            hovertemplate="%{customdata}<br>" + str(split) + ": %{y:,}<extra></extra>",
        )
    figure.update_layout(
        barmode="stack",
        height=340,
        margin={"l": 0, "r": 10, "t": 36, "b": 40},
        legend=_LEGEND,
        xaxis={"title": f"{unit} per text, the longest 1 % in the last bar"},
        yaxis={"title": "texts"},
    )
    return figure


def _span(low: int, high: int, unit: str) -> str:
    if high - low == 1:
        return f"{low} {unit.removesuffix('s') if low == 1 else unit}"
    return f"{low} to {high - 1} {unit}"


def result_table(metrics: RunMetrics) -> pd.DataFrame:
    """The classifier and its baselines, best first: accuracy, interval, macro-F1.

    Columns: name, accuracy, low, high, macro_f1, detail, ours.
    """
    kept, used = metrics["neurons"]["selected"], metrics["layers"]["used"]
    ours = {**metrics["test"], "detail": f"{kept:,} neurons, up to layer {used}"}
    rows = [_result(OURS, ours, ours=True)]
    rows += [
        _result(baseline_name(key, metrics), scores, ours=False)
        for key, scores in metrics["baselines"].items()
    ]
    table = pd.DataFrame(rows)
    return table.sort_values("accuracy", ascending=False, kind="stable").reset_index(
        drop=True
    )


def _result(name: str, scores: Mapping[str, Any], *, ours: bool) -> dict[str, Any]:
    low, high = scores["accuracy_interval"]
    return {
        "name": name,
        "accuracy": scores["accuracy"],
        "low": low,
        "high": high,
        "macro_f1": scores["macro_f1"],
        "detail": str(scores.get("detail") or ""),
        "ours": ours,
    }


def result_dots(table: pd.DataFrame) -> go.Figure:
    """A dot with its 95 % interval for each row of `result_table`; ours is highlighted.

    A band behind the rows shows the interval of ours. A row far to the left of the
    others is named at the edge.
    """
    figure = go.Figure()
    for ours in (True, False):
        style = {"size": 13, "color": MARK} if ours else {"size": 10, "color": GREY}
        figure.add_scatter(**_dots(table.loc[table["ours"] == ours], style))
    low, high = table.loc[table["ours"], ["low", "high"]].iloc[0]
    figure.add_vrect(x0=low, x1=high, fillcolor=_BAND, opacity=0.35, line_width=0)
    start = _axis_start(table)
    for row in table.loc[table["high"] < start].itertuples():
        figure.add_annotation(
            x=start,
            y=row.name,
            text=f"◂ {row.accuracy:.1%}",
            xanchor="left",
            showarrow=False,
            font={"color": GREY},
        )
    figure.update_layout(
        height=70 + 52 * len(table),
        margin={"l": 0, "r": 20, "t": 10, "b": 40},
        xaxis={
            "title": "accuracy on the test texts, with 95 % intervals",
            "tickformat": ".0%",
            "range": [start, min(1.01, np.max(table["high"]) + 0.03)],
        },
        yaxis={
            "categoryorder": "array",
            "categoryarray": list(table["name"])[::-1],
            "automargin": True,
            "title": None,
        },
    )
    return figure


def _dots(rows: pd.DataFrame, marker: Mapping[str, Any]) -> dict[str, Any]:
    """A dot with its interval and its value for each of these rows."""
    return {
        "x": rows["accuracy"],
        "y": rows["name"],
        "mode": "markers+text",
        "text": [f"{value:.1%}" for value in rows["accuracy"]],
        "textposition": "top center",
        "error_x": interval_bars(rows, "accuracy", "low", "high", thickness=2, width=5),
        "customdata": np.column_stack([rows["low"], rows["high"]]),
        "marker": marker,
        "hovertemplate": "%{y}: %{x:.1%}<br>95 % interval %{customdata[0]:.1%}"
        " to %{customdata[1]:.1%}<extra></extra>",
        "showlegend": False,
    }


def _axis_start(table: pd.DataFrame) -> float:
    """Where the axis begins: left of all, but a far worst row does not squeeze the
    rest."""
    lows = np.sort(table["low"].to_numpy(dtype=float))
    far = len(lows) > 2 and lows[1] - lows[0] > 0.5 * (lows[-1] - lows[0])
    return max(0.0, float(lows[1 if far else 0]) - 0.04)
