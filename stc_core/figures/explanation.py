"""Figures of one text: the class probabilities, and the sum that gives its logit."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from stc_core.display import percent
from stc_core.figures.style import (
    AGAINST,
    FAINT,
    FOR,
    GREY,
    PALETTE,
    Colour,
    figure_of,
    one_line,
    settle,
)
from stc_core.interpret.explanation import Sum

_MOST_CLASSES = 10


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
    names = [one_line(name, 30) + (" ✓" if name == label else "") for name in shown]
    values = [probabilities[name] for name in shown]
    hovers = [f"{one_line(name, 80)}: {percent(probabilities[name])}" for name in shown]
    if rest:
        names.append(f"{rest} other classes")
        values.append(max(0.0, 1.0 - sum(values)))
        hovers.append(f"{rest} other classes together: {percent(values[-1])}")
    places = list(range(len(names)))[::-1]
    bars = {
        "type": "bar",
        "x": values,
        "y": places,
        "orientation": "h",
        "marker": {"color": [PALETTE[0]] + [PALETTE[7]] * (len(names) - 1)},
        "text": [percent(value) for value in values],
        "textposition": "outside",
        "cliponaxis": False,
        "hovertext": hovers,
        "hoverinfo": "text",
    }
    return settle(
        figure_of([bars]),
        height=max(170, 70 + 30 * len(names)),
        xaxis={"title": "probability", "tickformat": ".0%", "range": [0, 1.24]},
        yaxis={"tickvals": places, "ticktext": names, "showgrid": False},
    )


def waterfall(parts: pd.DataFrame, total: Sum) -> go.Figure:
    """A waterfall from the bias over each part to the logit.

    `parts` has name and value. It must contain all contributions, so that the last bar
    ends at the logit.
    """
    names = ["bias", *(str(name) for name in parts["name"]), "logit"]
    values = [total.bias, *(float(value) for value in parts["value"]), 0.0]
    values[-1] = sum(values)
    places = list(range(len(names)))[::-1]
    ends = len(names) - 1
    bars = {
        "type": "waterfall",
        "orientation": "h",
        "measure": ["absolute", *["relative"] * (len(names) - 2), "total"],
        "x": values,
        "y": places,
        "base": 0,
        "text": [f"{value:+.3f}" for value in values],
        "textposition": "outside",
        "cliponaxis": False,
        "hovertext": [
            f"{one_line(name, 80)}: {value:+.4f}"
            for name, value in zip(names, values, strict=True)
        ],
        "hoverinfo": "text",
        "increasing": {"marker": {"color": Colour(*FOR).css(0.9)}},
        "decreasing": {"marker": {"color": Colour(*AGAINST).css(0.9)}},
        "totals": {"marker": {"color": GREY}},
        "connector": {"line": {"color": FAINT, "width": 1}},
    }
    low, high = _reach(values[:-1])
    return settle(
        figure_of([bars]),
        height=84 + 27 * (ends + 1),
        xaxis={"title": "logit", "range": [low, high]},
        yaxis={
            "tickvals": places,
            "ticktext": [one_line(name, 40) for name in names],
            "showgrid": False,
            "range": [-0.6, ends + 0.6],
        },
    )


def _reach(steps: list[float]) -> tuple[float, float]:
    """The range of the axis, with room for all partial sums, zero and the numbers."""
    sums, at = [0.0], 0.0
    for step in steps:
        at += step
        sums.append(at)
    pad = 0.16 * (max(sums) - min(sums) or 1.0)
    return min(sums) - pad, max(sums) + pad
