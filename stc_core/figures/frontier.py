"""The frontier of accuracy and cost: a point for each depth and number of neurons."""

from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from stc_core.display import interval, percent
from stc_core.figures.style import (
    ACTIVE,
    FAINT,
    GREY,
    MARK,
    PALETTE,
    Colour,
    figure_of,
    outlines,
    settle,
    ticks_among,
)
from stc_core.frames import records
from stc_core.metrics.scores import METRICS, Metric

Cost = Literal["ms_per_text", "flops_per_token", "parameters"]
COSTS: tuple[Cost, ...] = get_args(Cost)
COST_NAMES: dict[Cost, str] = {
    "ms_per_text": "measured time",
    "flops_per_token": "FLOPs",
    "parameters": "parameters",
}
AXES: dict[Cost, str] = {
    "ms_per_text": "milliseconds per text, measured in batches",
    "flops_per_token": "FLOPs per token",
    "parameters": "parameters kept of the language model",
}
NARROWEST = 1 / 26
"""Names of depths nearer than this share of the axis would overlap."""


class FrontierPlace(NamedTuple):
    """A point of the frontier: its highest layer and its number of neurons."""

    layer: int
    neurons: int


def frontier(
    options: pd.DataFrame,
    cost: Cost = "ms_per_text",
    *,
    metric: Metric = "accuracy",
    picked: FrontierPlace | None = None,
) -> go.Figure:
    """Validation score against cost, with the chosen and the picked option marked.

    Darker points have more neurons. The line joins the options that are better than
    every cheaper option. The picked option has its 95 % interval. Each point carries
    its layer and neurons for clicks.
    """
    traces = [
        _best_line(undominated(options, cost, metric), cost, metric),
        _option_points(options, cost, metric),
        _this_run(options.loc[options["chosen"].astype(bool)], cost, metric),
    ]
    if picked is not None:
        at = options["layer"].eq(picked.layer) & options["neurons"].eq(picked.neurons)
        traces.append(_picked_outline(options.loc[at], cost, metric))
    return settle(
        figure_of(traces, annotations=_depth_names(options, cost)),
        height=440,
        top=24,
        xaxis={"title": AXES[cost], "gridcolor": FAINT},
        yaxis={
            "title": f"held-out {METRICS[metric]}",
            "tickformat": ticks_among(options[metric]),
        },
    )


def undominated(options: pd.DataFrame, cost: str, metric: str) -> pd.DataFrame:
    """The options that score more than every cheaper option, by rising cost."""
    ordered = options.sort_values([cost, metric], ascending=[True, False])
    before = ordered[metric].cummax().shift(fill_value=-1.0)
    return ordered.loc[ordered[metric] > before]


def _best_line(best: pd.DataFrame, cost: Cost, metric: Metric) -> dict[str, Any]:
    """A line in steps through the undominated options."""
    return {
        "type": "scatter",
        "x": best[cost],
        "y": best[metric],
        "mode": "lines",
        "line": {"color": GREY, "width": 1.6, "shape": "hv"},
        "hoverinfo": "skip",
    }


def _option_points(options: pd.DataFrame, cost: Cost, metric: Metric) -> dict[str, Any]:
    """A point for each option, darker the more neurons it has."""
    ranks = options["neurons"].rank(method="dense", pct=True)
    return {
        "type": "scatter",
        "x": options[cost],
        "y": options[metric],
        "mode": "markers",
        "marker": {
            "size": 11,
            "color": [Colour(*ACTIVE).css(0.15 + 0.85 * rank) for rank in ranks],
            "line": {"color": Colour(*ACTIVE).css(), "width": 1},
        },
        **_click_and_hover(options, metric),
    }


def _this_run(chosen: pd.DataFrame, cost: Cost, metric: Metric) -> dict[str, Any]:
    """A named diamond at the option that the run has chosen."""
    return {
        "type": "scatter",
        "x": chosen[cost],
        "y": chosen[metric],
        "mode": "markers+text",
        "text": ["this run"] * len(chosen),
        "textposition": "top left",
        "textfont": {"color": MARK},
        "marker": {"color": MARK, "symbol": "diamond", "size": 13},
        **_click_and_hover(chosen, metric),
    }


def _click_and_hover(options: pd.DataFrame, metric: Metric) -> dict[str, Any]:
    """What each option carries for clicks, and what it shows on hover."""
    return {
        "customdata": options[["layer", "neurons"]].to_numpy().tolist(),
        "hovertext": [_hover(row, metric) for row in records(options)],
        "hoverinfo": "text",
    }


def _picked_outline(option: pd.DataFrame, cost: Cost, metric: Metric) -> dict[str, Any]:
    """A circle around the picked option, with the interval of its accuracy."""
    style: dict[str, Any] = {}
    if metric == "accuracy":
        style["error_y"] = {
            "array": option["accuracy_high"] - option["accuracy"],
            "arrayminus": option["accuracy"] - option["accuracy_low"],
            "color": PALETTE[0],
            "thickness": 1.6,
        }
    return outlines(option[cost], option[metric], size=20, colour=PALETTE[0], **style)


def _depth_names(options: pd.DataFrame, cost: Cost) -> list[dict[str, Any]]:
    """The layer of each depth, written above its points unless names would overlap."""
    costs = options.groupby("deepest")[cost].first()
    costs = costs.iloc[np.argsort(costs.to_numpy(), kind="stable")]
    room = NARROWEST * (costs.iloc[-1] - costs.iloc[0])
    named: dict[Any, float] = {}
    for layer, x in costs.items():
        # The first name is longer: it has the word layer.
        wanted = room * (2 if len(named) == 1 else 1)
        if not named or x - next(reversed(named.values())) > wanted:
            named[layer] = x
    return [
        {
            "x": x,
            "y": 1,
            "yref": "paper",
            "yanchor": "bottom",
            "text": str(layer) if position else f"layer {layer}",
            "showarrow": False,
            "font": {"color": GREY, "size": 12},
        }
        for position, (layer, x) in enumerate(named.items())
    ]


def _hover(row: dict[str, Any], metric: Metric) -> str:
    facts = [
        f"<b>{row['neurons']:,} neurons, up to layer {row['deepest']}</b>",
        f"held-out {METRICS[metric]} {percent(row[metric])}",
    ]
    if metric == "accuracy":
        facts.append(f"95 %: {interval((row['accuracy_low'], row['accuracy_high']))}")
    facts.append(f"{row['ms_per_text']:.1f} ms per text")
    facts.append(f"FLOPs saved {percent(1 - row['flops_share'])}")
    return "<br>".join(facts)
