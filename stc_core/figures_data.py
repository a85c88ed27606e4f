"""Figures about the data and the headline result; frames in, Plotly figures out.

Colours come from the theme of the page, so the same figure reads in light and dark.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Int

SPLITS = ("train", "validation", "test")
MAX_BARS = 36
BASELINES = {
    "majority": "Most frequent class",
    "tfidf": "TF-IDF words",
    "last_layer": "Last layer, dense",
    "best_site": "Best single site",
    "all_sites": "All sites, dense",
}
OURS = "This classifier"
_GREY = "rgba(128, 138, 150, 0.9)"
_BAND = "rgba(128, 138, 150, 0.35)"


def class_counts(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows per class (index, largest class first) and split (columns)."""
    counts = pd.crosstab(frame["label"], frame["split"])
    counts = counts.reindex(columns=list(SPLITS), fill_value=0)
    order = counts.sum(axis=1).sort_values(ascending=False, kind="stable").index
    return counts.loc[order]


def class_balance(counts: pd.DataFrame) -> go.Figure:
    """Stacked bars, one a class, largest on top.

    Of more than MAX_BARS classes the largest and the smallest are shown; a row
    between them says how many are left out.
    """
    shown = _ends(counts)
    figure = go.Figure()
    for split in SPLITS:
        figure.add_bar(
            x=shown[split].to_numpy(),
            y=[_short(str(name)) for name in shown.index],
            customdata=[str(name) for name in shown.index],
            name=split,
            orientation="h",
            hovertemplate="%{customdata}<br>" + split + ": %{x:,} rows<extra></extra>",
        )
    figure.update_layout(
        barmode="stack",
        bargap=0.25,
        height=max(240, 95 + 24 * len(shown)),
        margin={"l": 0, "r": 10, "t": 36, "b": 40},
        legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "title": ""},
        xaxis={"title": "rows"},
        yaxis={"autorange": "reversed", "automargin": True, "type": "category"},
    )
    return figure


def _ends(counts: pd.DataFrame) -> pd.DataFrame:
    if len(counts) <= MAX_BARS:
        return counts
    half = MAX_BARS // 2
    left_out = f"… {len(counts) - 2 * half:,} classes between …"
    gap = pd.DataFrame(0, index=[left_out], columns=counts.columns)
    return pd.concat([counts.head(half), gap, counts.tail(half)])


def _short(name: str, limit: int = 34) -> str:
    """A class name as an axis label: one line, HTML shown as text."""
    cut = name if len(name) <= limit else name[: limit - 1] + "…"
    return cut.replace("&", "&amp;").replace("<", "&lt;")


def word_counts(texts: list[str]) -> Int[np.ndarray, " n"]:
    """Words per text, as split at white space."""
    return np.fromiter((len(text.split()) for text in texts), int, len(texts))


def length_histogram(n_words: Int[np.ndarray, " n"]) -> go.Figure:
    """How many texts have how many words; the longest 1 % share the last bar.

    Binned here, so that a million texts cost the browser no more than a hundred.
    """
    top = max(int(np.quantile(n_words, 0.99)), 1)
    step = max(1, -(-top // 40))
    edges = np.arange(0, top + 2 * step, step)
    counts, _ = np.histogram(np.minimum(n_words, top), bins=edges)
    names = [_bin_name(int(low), step, top) for low in edges[:-1]]
    median = float(np.median(n_words))
    figure = go.Figure(
        go.Bar(
            x=edges[:-1] + step / 2,
            y=counts,
            width=step * 0.92,
            customdata=names,
            hovertemplate="%{customdata}: %{y:,} texts<extra></extra>",
        )
    )
    figure.add_vline(
        x=median + 0.5,
        line={"dash": "dot", "width": 2, "color": _GREY},
        annotation={"text": f"median {median:g}", "font": {"color": _GREY}},
        annotation_position="top right",
    )
    figure.update_layout(
        height=300,
        showlegend=False,
        margin={"l": 0, "r": 10, "t": 36, "b": 40},
        xaxis={"title": "words per text", "rangemode": "tozero"},
        yaxis={"title": "texts"},
    )
    return figure


def _bin_name(low: int, step: int, top: int) -> str:
    high = low + step - 1
    if high >= top:
        return f"{low} words or more"
    return f"{low} words" if step == 1 else f"{low} to {high} words"


def result_table(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """The classifier and its baselines, best first: accuracy, interval, macro-F1.

    Columns: name, accuracy, low, high, macro_f1, detail, ours.
    """
    rows = [_result(OURS, metrics["test"], ours=True)]
    rows += [
        _result(BASELINES.get(key, key), found, ours=False)
        for key, found in metrics["baselines"].items()
    ]
    table = pd.DataFrame(rows)
    return table.sort_values("accuracy", ascending=False, kind="stable").reset_index(
        drop=True
    )


def _result(name: str, found: Mapping[str, Any], *, ours: bool) -> dict[str, Any]:
    low, high = found["accuracy_interval"]
    return {
        "name": name,
        "accuracy": found["accuracy"],
        "low": low,
        "high": high,
        "macro_f1": found["macro_f1"],
        "detail": str(found.get("detail") or ""),
        "ours": ours,
    }


def result_dots(table: pd.DataFrame) -> go.Figure:
    """A dot with its 95 % interval for each row of `result_table`, ours set apart.

    A band behind all the rows shows the interval of ours.
    """
    figure = go.Figure()
    for ours in (True, False):
        part = table[table["ours"] == ours]
        figure.add_scatter(
            x=part["accuracy"],
            y=part["name"],
            mode="markers+text",
            text=[f"{value:.1%}" for value in part["accuracy"]],
            textposition="top center",
            error_x={
                "type": "data",
                "symmetric": False,
                "array": part["high"] - part["accuracy"],
                "arrayminus": part["accuracy"] - part["low"],
                "thickness": 2,
                "width": 5,
            },
            customdata=part[["low", "high"]].to_numpy(),
            marker={"size": 13 if ours else 10} | ({} if ours else {"color": _GREY}),
            hovertemplate="%{y}: %{x:.1%}<br>95 % interval %{customdata[0]:.1%}"
            " to %{customdata[1]:.1%}<extra></extra>",
            showlegend=False,
        )
    mine = table[table["ours"]].iloc[0]
    figure.add_vrect(
        x0=mine["low"], x1=mine["high"], fillcolor=_BAND, opacity=0.35, line_width=0
    )
    lowest = float(table["low"].min())
    figure.update_layout(
        height=70 + 52 * len(table),
        margin={"l": 0, "r": 20, "t": 10, "b": 40},
        xaxis={
            "title": "accuracy on the test texts",
            "tickformat": ".0%",
            "range": [max(0.0, lowest - 0.03), min(1.02, table["high"].max() + 0.03)],
        },
        yaxis={
            "categoryorder": "array",
            "categoryarray": list(table["name"])[::-1],
            "automargin": True,
            "title": None,
        },
    )
    return figure
