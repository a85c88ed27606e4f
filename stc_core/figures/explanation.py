"""Figures of one text: the class probabilities, and the sum that gives its logit."""

from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go

from stc_core.display import formatted, percent
from stc_core.figures.style import (
    AGAINST,
    FAINT,
    FOR,
    GREY,
    PALETTE,
    Colour,
    figure_of,
    one_line,
    row_axis,
    row_bars,
    settle,
    short_names,
)
from stc_core.interpret.explanation import Sum

ErasureCurve = Literal["without", "alone"]
ERASURE_CURVES: dict[ErasureCurve, str] = {
    "without": "strongest parts taken away",
    "alone": "strongest parts kept alone",
}
_MOST_CLASSES = 10
_LONGEST, _BESIDE_PX = 24, 52
"""The most letters of a name, and the room beside a bar for its number, so that bars
can be told apart in a window of 1,024 pixels."""


def top_classes(
    probabilities: Mapping[str, float], label: str | None, *, most: int = _MOST_CLASSES
) -> list[str]:
    """The most probable classes, highest first; `label` is always among them."""
    order = sorted(probabilities, key=lambda name: -probabilities[name])
    shown = order[:most]
    if label is not None and label in probabilities and label not in shown:
        shown[-1] = label
    return shown


def probability_bars(
    probabilities: Mapping[str, float], *, label: str | None = None
) -> go.Figure:
    """A bar for each of `top_classes`, the most probable on top; `label` is marked.

    The last bar is the probability of all other classes together.
    """
    shown = top_classes(probabilities, label)
    rest = len(probabilities) - len(shown)
    ticks = [" ✓" if name == label else "" for name in shown]
    cut = short_names(list(shown), _LONGEST)
    names = [name + tick for name, tick in zip(cut, ticks, strict=True)]
    values = [probabilities[name] for name in shown]
    hovers = [f"{one_line(name, 80)}: {percent(probabilities[name])}" for name in shown]
    if rest:
        names.append(f"{rest} other classes")
        values.append(max(0.0, 1.0 - sum(values)))
        hovers.append(f"{rest} other classes together: {percent(values[-1])}")
    bars = row_bars(
        values,
        texts=[percent(value) for value in values],
        hovers=hovers,
        marker={"color": [PALETTE[0]] + [PALETTE[7]] * (len(names) - 1)},
    )
    return settle(
        figure_of([bars]),
        height=max(170, 70 + 30 * len(names)),
        right=_BESIDE_PX,
        xaxis={
            "title": "probability",
            "tickformat": ".0%",
            "range": [0, 1],
            "tickvals": [0, 0.5, 1],
            "tickangle": 0,
        },
        yaxis=row_axis(names),
    )


def waterfall(parts: pd.DataFrame, total: Sum) -> go.Figure:
    """A waterfall from the bias over each part to the logit.

    `parts` has name and value. It must contain all contributions, so that the last bar
    ends at the logit.
    """
    names = ["bias", *(str(name) for name in parts["name"]), "logit"]
    values = [total.bias, *(float(value) for value in parts["value"]), 0.0]
    values[-1] = sum(values)
    bars = row_bars(
        values,
        texts=[formatted(value, "+.3f") for value in values],
        hovers=[
            f"{one_line(name, 80)}: {formatted(value, '+.4f')}"
            for name, value in zip(names, values, strict=True)
        ],
        type="waterfall",
        measure=["absolute", *["relative"] * (len(names) - 2), "total"],
        base=0,
        increasing={"marker": {"color": Colour(*FOR).css(0.9)}},
        decreasing={"marker": {"color": Colour(*AGAINST).css(0.9)}},
        totals={"marker": {"color": GREY}},
        connector={"line": {"color": FAINT, "width": 1}},
    )
    return settle(
        figure_of([bars]),
        height=84 + 27 * len(names),
        xaxis={"title": "logit", "range": _reach(values[:-1])},
        yaxis=row_axis(
            [one_line(name, 40) for name in names], range=[-0.6, len(names) - 0.4]
        ),
    )


def _reach(steps: list[float]) -> list[float]:
    """The range of the axis, with room for all partial sums, zero and the numbers."""
    sums, at = [0.0], 0.0
    for step in steps:
        at += step
        sums.append(at)
    pad = 0.16 * (max(sums) - min(sums) or 1.0)
    return [min(sums) - pad, max(sums) + pad]


def erasure_curves(
    part: Mapping[str, Any], names: Mapping[str, str], curve: ErasureCurve = "without"
) -> go.Figure:
    """What the probability loses without each share of the parts, a line by method.

    With the `curve` "alone" it is what the probability loses with these parts alone.
    `part` is a record of `PartScores`. The shares are evenly spaced, since most of them
    are small; `names` are those of the methods, each of which has a colour of its own.
    """
    colours = dict(zip(names, PALETTE, strict=False))
    ticks = [f"{100 * share:g} %" for share in part["shares"]]
    lines = [
        {
            "type": "scatter",
            "x": ticks,
            "y": one[f"curve_{curve}"],
            "mode": "lines+markers",
            "name": names[one["method"]],
            "line": {
                "color": colours[one["method"]] if one["method"] != "random" else GREY,
                "dash": "dot" if one["method"] == "random" else "solid",
            },
            "hovertemplate": names[one["method"]]
            + f"<br>{curve} %{{x}}: %{{y:.3f}}<extra></extra>",
            "cliponaxis": False,
        }
        for one in part["methods"]
    ]
    return settle(
        figure_of(lines),
        height=400,
        top=70,
        legend=True,
        xaxis={"title": ERASURE_CURVES[curve], "type": "category"},
        yaxis={"title": "loss of probability", "rangemode": "tozero"},
    )
