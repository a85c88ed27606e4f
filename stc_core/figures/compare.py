"""Figures that compare runs. Blue is the other run, orange is this run."""

from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from stc_core.display import duration, formatted, interval, percent
from stc_core.figures.style import (
    FAINT,
    GREY,
    MARK,
    PALETTE,
    figure_of,
    interval_bars,
    layer_axis,
    one_line,
    outlines,
    row_axis,
    settle,
    short_names,
    thin,
    ticks_among,
)
from stc_core.frames import records

Price = Literal["neurons", "flops_per_token", "seconds"]
PRICES: tuple[Price, ...] = get_args(Price)
PRICE_NAMES: dict[Price, str] = {
    "neurons": "neurons",
    "flops_per_token": "compute",
    "seconds": "training time",
}
_AXES: dict[Price, str] = {
    "neurons": "neurons kept",
    "flops_per_token": "FLOPs per token",
    "seconds": "seconds of training",
}
_SYMBOLS = ("circle", "square", "triangle-up", "cross", "star", "hexagon")
_COLOURS = (PALETTE[2], PALETTE[3], PALETTE[5], PALETTE[6], PALETTE[7])
THIS, OTHER = MARK, PALETTE[0]
MOST_CLASSES = 30
# Ticks in a power of ten, as few as do: of the last two are in any range of 1.74 times.
_WITHIN = ((1,), (1, 2, 5), (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9))


def runs_scatter(
    cards: pd.DataFrame,
    price: Price = "neurons",
    *,
    run: str,
    other: str | None = None,
) -> go.Figure:
    """Test accuracy with its 95 % interval against a cost, a point for each run.

    The colour shows the language model, the marker the kind of training. `run` and
    `other` have a ring and a name. Each point carries the folder of its run for clicks.
    """
    traces = []
    models, ways = sorted(set(cards["backbone"])), sorted(set(cards["way"]))
    kinds = zip(cards["backbone"], cards["way"], strict=True)
    for model, way in sorted(set(kinds)):
        part = cards.loc[(cards["backbone"] == model) & (cards["way"] == way)]
        colour = _COLOURS[models.index(model) % len(_COLOURS)]
        symbol = _SYMBOLS[ways.index(way) % len(_SYMBOLS)]
        traces.append(_run_points(part, price, colour, symbol))
    for name, colour, text in ((run, THIS, "this run"), (other, OTHER, "the other")):
        named = cards.loc[cards["run"] == name]
        if len(named):
            traces.append(_named_run(named, price, colour, text))
    return settle(
        figure_of(traces),
        height=400,
        top=56,
        legend=True,
        xaxis={
            "title": f"{_AXES[price]} (logarithmic)",
            "type": "log",
            "gridcolor": FAINT,
            **_log_ticks(cards[price].to_numpy(dtype=float)),
        },
        yaxis={
            "title": "test accuracy",
            "tickformat": ticks_among([*cards["low"], *cards["high"]]),
        },
    )


def _run_points(
    part: pd.DataFrame, price: Price, colour: str, symbol: str
) -> dict[str, Any]:
    """The runs of one language model and one kind of training."""
    first = part.iloc[0]
    return {
        "type": "scatter",
        "x": part[price],
        "y": part["accuracy"],
        "mode": "markers",
        "name": f"{one_line(first['backbone'])} · {one_line(first['way'])}",
        "marker": {"color": colour, "symbol": symbol, "size": 12},
        "error_y": interval_bars(
            part, "accuracy", "low", "high", color=thin(colour), thickness=1.4, width=0
        ),
        "customdata": part[["run"]].to_numpy().tolist(),
        "hovertext": [_run_hover(row) for row in records(part)],
        "hoverinfo": "text",
    }


def _named_run(
    run: pd.DataFrame, price: Price, colour: str, text: str
) -> dict[str, Any]:
    """The ring and the name of one run, a frame with one row."""
    return outlines(
        run[price],
        run["accuracy"],
        size=22,
        colour=colour,
        mode="markers+text",
        text=[text] * len(run),
        textposition="middle right" if text == "this run" else "middle left",
        textfont={"color": colour},
        showlegend=False,
    )


def _log_ticks(values: np.ndarray) -> dict[str, Any]:
    """A logarithmic axis with room for names on both sides and at least two ticks."""
    low, high = float(np.min(values)), float(np.max(values))
    low, high = max(low, 1e-9), max(high, 1e-9)
    room = 0.12 + 0.2 * np.log10(high / low)  # a name needs a sixth of the width
    first, last = np.log10(low) - room, np.log10(high) + room
    powers = np.arange(np.floor(first), np.ceil(last) + 1)
    ticks: list[float] = []
    for within in _WITHIN:
        candidates = [m * 10.0**p for p in powers for m in within]
        ticks = [tick for tick in candidates if first <= np.log10(tick) <= last]
        if len(ticks) >= 3:
            break
    return {
        "tickvals": ticks,
        "ticktext": [_short(tick) for tick in ticks],
        "range": [first, last],
    }


def _short(value: float) -> str:
    for size, unit in ((1e9, " G"), (1e6, " M")):
        if value >= size:
            return f"{value / size:,.0f}{unit}"
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _run_hover(row: dict[str, Any]) -> str:
    return "<br>".join(
        [
            f"<b>{one_line(row['name'])}</b>",
            f"{one_line(row['backbone'])} · {one_line(row['way'])} · "
            f"seed {row['seed']}",
            f"accuracy {percent(row['accuracy'])}",
            f"95 %: {interval((row['low'], row['high']))}, n = {row['n']:,}",
            f"{row['neurons']:,} neurons, up to layer {row['depth']}",
            f"{row['flops_per_token'] / 1e6:,.1f} MFLOP per token",
            f"trained in {duration(row['seconds'])}",
        ]
    )


def class_difference_bars(differences: pd.DataFrame) -> go.Figure:
    """A bar with its 95 % interval for each class of `class_differences`.

    To the right (blue) the other run is better, to the left (orange) this run. A bar is
    faint if its interval contains 0. At most MOST_CLASSES classes are shown, those that
    differ most.
    """
    shown = _most_different(differences)
    positions = np.arange(len(shown))  # names that are cut may be alike
    bars = {
        "type": "bar",
        "x": shown["difference"],
        "y": positions,
        "orientation": "h",
        "marker": {"color": _difference_colours(shown)},
        "error_x": interval_bars(
            shown, "difference", "low", "high", color=GREY, thickness=1.4, width=4
        ),
        "hovertext": [_class_hover(row) for row in records(shown)],
        "hoverinfo": "text",
    }
    figure = figure_of([bars])
    figure.add_vline(x=0, line={"color": GREY, "width": 1})
    return settle(
        figure,
        height=90 + (34 if len(shown) <= 12 else 26) * max(len(shown), 3),
        xaxis={
            "title": "F1 of the other run minus F1 of this one",
            "tickformat": "+.0%",
            "gridcolor": FAINT,
        },
        yaxis=row_axis(
            short_names(shown["label"].tolist(), 34),
            tickvals=positions,
            range=[len(shown) - 0.4, -0.6],
        ),
    )


def _most_different(differences: pd.DataFrame) -> pd.DataFrame:
    """The MOST_CLASSES rows with the largest differences, in their given order."""
    size = np.abs(differences["difference"].to_numpy(dtype=float))
    largest = np.argsort(-size, kind="stable")[:MOST_CLASSES]
    return differences.iloc[np.sort(largest)]


def _difference_colours(shown: pd.DataFrame) -> list[str]:
    """The colour of the better run, faint where the interval contains 0."""
    is_sure = (shown["low"] > 0) | (shown["high"] < 0)
    return [
        thin(OTHER if value >= 0 else THIS, 0.95 if sure else 0.4)
        for value, sure in zip(shown["difference"], is_sure, strict=True)
    ]


def _class_hover(row: dict[str, Any]) -> str:
    return "<br>".join(
        [
            f"<b>{one_line(row['label'])}</b>, {row['n']:,} texts",
            f"F1 {percent(row['f1_a'])} here, {percent(row['f1_b'])} there",
            f"difference {formatted(100 * row['difference'], '+.1f')} points",
            f"95 %: {formatted(100 * row['low'], '+.1f')} to "
            f"{formatted(100 * row['high'], '+.1f')}",
        ]
    )


def overlap_bars(layers: pd.DataFrame) -> go.Figure:
    """The number of neurons that both runs kept by layer, and the number by chance.

    `layers` is the result of `agreement`. A layer of unknown width has no mark of
    chance.
    """
    bars = {
        "type": "bar",
        "x": layers["layer"],
        "y": layers["both"],
        "name": "kept by both",
        "marker": {"color": PALETTE[2]},
        "hovertext": [_overlap_hover(row) for row in records(layers)],
        "hoverinfo": "text",
    }
    return settle(
        figure_of([bars, _chance_marks(layers)]),
        height=320,
        top=48,
        legend=True,
        xaxis=layer_axis(list(layers["layer"]), title="layer"),
        yaxis={"title": "neurons", "gridcolor": FAINT},
    )


def _chance_marks(layers: pd.DataFrame) -> dict[str, Any]:
    """The number of common neurons expected by chance, with a bar up to its limit."""
    return {
        "type": "scatter",
        "x": layers["layer"],
        "y": layers["chance"],
        "mode": "markers",
        "name": "by chance (to its 95 % limit)",
        "marker": {
            "symbol": "line-ew",
            "size": 26,
            "line": {"color": MARK, "width": 3},
        },
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": layers["limit"] - layers["chance"],
            "arrayminus": np.zeros(len(layers)),
            "color": MARK,
            "thickness": 1.4,
        },
        "hoverinfo": "skip",
    }


def _overlap_hover(row: dict[str, Any]) -> str:
    hover = [
        f"<b>layer {row['layer']}</b>",
        f"kept: {row['a']:,} here, {row['b']:,} there, {row['both']:,} in both",
        f"Jaccard {row['jaccard']:.2f}",
    ]
    if row["chance"] == row["chance"]:
        hover.append(f"by chance {row['chance']:.1f}, at most {row['limit']:.1f}")
    return "<br>".join(hover)
