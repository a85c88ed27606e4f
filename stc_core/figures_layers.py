"""Figures of the layers: the probes' scores by site and pooling, and the baselines.

Colour says the pooling, line and marker the kind of site. Frames in, figures out.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from stc_core.axes import KINDS, POOLINGS
from stc_core.figures import FAINT, GREY, MARK, PALETTE, plain, records, settle, thin
from stc_core.figures_data import OURS, baseline_name
from stc_core.wording import interval, percent

Metric = Literal["accuracy", "macro_f1"]
METRICS: dict[Metric, str] = {"accuracy": "accuracy", "macro_f1": "macro-F1"}
KIND_NAMES = {"resid": "hidden states", "mlp": "FFN neurons"}
_DASHES = {"resid": "solid", "mlp": "dash"}
_SYMBOLS = {"resid": "circle", "mlp": "square"}
_LABEL_SHARE = 0.055  # height of a line's label, as a share of the axis


class Line(NamedTuple):
    """A score that does not depend on the layer, and on which split it was got."""

    name: str
    value: float
    split: str
    n: int
    low: float | None = None
    high: float | None = None
    ours: bool = False


def best_probes(probes: pd.DataFrame) -> pd.DataFrame:
    """One row per site and pooling: the probe with the C that validation chose.

    Places of `mute_places` are left out, unless there is no other.
    """
    best = probes.loc[probes["best"].astype(bool)]
    telling = best.loc[~_is_mute(best, probes)]
    best = best if telling.empty else telling
    return best.sort_values(["kind", "pooling", "layer"], kind="stable").reset_index(
        drop=True
    )


def mute_places(probes: pd.DataFrame) -> list[str]:
    """'resid.0 by first' for each place where every weight of every C is zero.

    The embedding of the first special token is one: it is the same for every text.
    """
    best = probes.loc[probes["best"].astype(bool)]
    mute = best.loc[_is_mute(best, probes)]
    return [f"{row['site']} by {row['pooling']}" for row in records(mute)]


def _is_mute(best: pd.DataFrame, probes: pd.DataFrame) -> pd.Series:
    reads = probes.loc[probes["nonzeros"] > 0]
    telling = set(zip(reads["site"], reads["pooling"], strict=True))
    places = zip(best["site"], best["pooling"], strict=True)
    return pd.Series([p not in telling for p in places], best.index, dtype=bool)


def reference_lines(metrics: Mapping[str, Any], metric: Metric) -> list[Line]:
    """The classifier and its baselines as lines, the classifier first."""
    test = metrics["test"]
    lines = [_line(OURS, test, metric, test["n"], ours=True)]
    for key, found in metrics["baselines"].items():
        lines.append(_line(baseline_name(key, metrics), found, metric, test["n"]))
    return lines


def _line(
    name: str, found: Mapping[str, Any], metric: Metric, n: int, *, ours: bool = False
) -> Line:
    low, high = found.get(f"{metric}_interval") or (None, None)
    return Line(name, found[metric], "test", n, low, high, ours)


def layer_curves(
    probes: pd.DataFrame,
    lines: Sequence[Line] = (),
    *,
    metric: Metric = "accuracy",
    layer_names: Sequence[str] = (),
    picked: int | None = None,
) -> go.Figure:
    """Validation score by layer, one curve per kind and pooling, with `lines` across.

    Each point carries layer, kind and pooling for clicks. Curves stand a little apart along the
    axis, so that their intervals can be told from each other.
    """
    best = best_probes(probes)
    figure = go.Figure()
    keys = _curves(best)
    for place, (kind, pooling) in enumerate(keys):
        part = best.loc[(best["kind"] == kind) & (best["pooling"] == pooling)]
        shift = 0.0 if len(keys) < 2 else 0.22 * (place / (len(keys) - 1) - 0.5)
        figure.add_trace(_curve(part, metric, layer_names, shift))
    bounds = _bounds(best, lines, metric)
    _draw_lines(figure, lines, bounds)
    if picked is not None:
        figure.add_vline(x=picked, line={"color": FAINT, "width": 14}, layer="below")
    layers = sorted(best["layer"].unique())
    return settle(
        figure,
        height=470,
        right=205 if lines else 16,
        top=60,
        legend=True,
        xaxis={
            "title": "layer (0: embeddings)",
            "tickvals": layers,
            "showgrid": False,
            "range": [layers[0] - 0.35, layers[-1] + 0.35],
        },
        yaxis={
            "title": f"validation {METRICS[metric]}",
            "tickformat": ".0%",
            "range": bounds,
        },
    )


def pooling_colour(pooling: str) -> str:
    """The fixed colour of a pooling."""
    known = (*POOLINGS, "all")
    place = known.index(pooling) if pooling in known else len(known)
    return (PALETTE[0], PALETTE[3], PALETTE[1], PALETTE[2], PALETTE[5], PALETTE[7])[
        place
    ]


def _curves(best: pd.DataFrame) -> list[tuple[str, str]]:
    """(kind, pooling) of each curve, in the order of the vocabulary."""
    pairs = zip(best["kind"], best["pooling"], strict=True)
    found = {(str(kind), str(pooling)) for kind, pooling in pairs}
    poolings = [*POOLINGS, *sorted({pool for _, pool in found} - set(POOLINGS))]
    return [
        (kind, pool) for kind in KINDS for pool in poolings if (kind, pool) in found
    ]


def _curve(
    part: pd.DataFrame, metric: Metric, layer_names: Sequence[str], shift: float
) -> go.Scatter:
    first = part.iloc[0]
    kind, pooling = str(first["kind"]), str(first["pooling"])
    colour = pooling_colour(pooling)
    return go.Scatter(
        x=part["layer"] + shift,
        y=part[metric],
        mode="lines+markers",
        name=f"{KIND_NAMES[kind]} · {pooling}",
        line={"color": colour, "dash": _DASHES[kind], "width": 2.2},
        marker={"color": colour, "symbol": _SYMBOLS[kind], "size": 9},
        error_y=_error_bars(part, metric, colour),
        customdata=part[["layer", "kind", "pooling"]].to_numpy().tolist(),
        hovertext=[_probe_hover(row, metric, layer_names) for row in records(part)],
        hoverinfo="text",
    )


def _error_bars(
    part: pd.DataFrame, metric: Metric, colour: str
) -> dict[str, Any] | None:
    if metric != "accuracy":
        return None
    return {
        "type": "data",
        "symmetric": False,
        "array": part["accuracy_high"] - part["accuracy"],
        "arrayminus": part["accuracy"] - part["accuracy_low"],
        "color": thin(colour),
        "thickness": 1.2,
        "width": 0,
    }


def _probe_hover(row: dict[str, Any], metric: Metric, names: Sequence[str]) -> str:
    layer = row["layer"]
    where = f" ({plain(names[layer])})" if layer < len(names) else ""
    said = [
        f"<b>{row['site']} · {plain(row['pooling'])}</b>{where}",
        f"{METRICS[metric]} {percent(row[metric])}",
    ]
    if metric == "accuracy":
        bounds = row["accuracy_low"], row["accuracy_high"]
        said.append(f"95 %: {interval(bounds)}")
    said.append(f"n = {row['n']:,} validation texts")
    said.append(f"C = {row['C']:.3g}, {row['nonzeros']:,} weights not zero")
    return "<br>".join(said)


def _bounds(best: pd.DataFrame, lines: Sequence[Line], metric: Metric) -> list[float]:
    """The axis: all curves with their intervals, and the lines that are not far off."""
    accuracy = metric == "accuracy"
    low = float(np.min(best["accuracy_low" if accuracy else metric]))
    high = float(np.max(best["accuracy_high" if accuracy else metric]))
    reach = max(high - low, 0.05)
    near = [line.value for line in lines if line.value > low - 0.25 * reach]
    low, high = min([low, *near]), max([high, *near])
    pad = 0.05 * (high - low)
    return [max(0.0, low - pad), min(1.005, high + pad)]


def _draw_lines(
    figure: go.Figure, lines: Sequence[Line], bounds: Sequence[float]
) -> None:
    """Horizontal lines with labels on the right that do not cover each other.

    A line below the axis is named at its foot.
    """
    gap = _LABEL_SHARE * (bounds[1] - bounds[0])
    order = sorted(lines, key=lambda line: -line.value)
    wanted = [max(line.value, bounds[0]) for line in order]
    for line, place in zip(order, spread(wanted, gap, bounds), strict=True):
        below = line.value < bounds[0]
        colour = MARK if line.ours else GREY
        if not below:
            figure.add_hline(
                y=line.value,
                line={
                    "color": colour,
                    "dash": "solid" if line.ours else "dot",
                    "width": 2 if line.ours else 1.2,
                },
                layer="below",
            )
        figure.add_annotation(
            x=1,
            y=place,
            xref="paper",
            xanchor="left",
            xshift=6,
            showarrow=False,
            align="left",
            font={"color": colour, "size": 12},
            text=f"{plain(line.name)} {percent(line.value)}{' ↓' if below else ''}",
            hovertext=_line_hover(line),
        )


def _line_hover(line: Line) -> str:
    said = f"{plain(line.name)}: {percent(line.value)}"
    if line.low is not None and line.high is not None:
        said += f"<br>95 %: {interval((line.low, line.high))}"
    return said + f"<br>n = {line.n:,} {line.split} texts"


def spread(wanted: Sequence[float], gap: float, bounds: Sequence[float]) -> list[float]:
    """`wanted`, falling, moved as little as needed to stand `gap` apart in `bounds`.

    The order is kept; where `bounds` are too short the lowest go below them.
    """
    places: list[float] = []
    for value in wanted:
        places.append(min(value, places[-1] - gap) if places else value)
    floor = bounds[0]
    for at in range(len(places) - 1, -1, -1):
        places[at] = max(places[at], floor)
        floor = places[at] + gap
    over = max(0.0, places[0] - bounds[1]) if places else 0.0
    return [place - over for place in places]
