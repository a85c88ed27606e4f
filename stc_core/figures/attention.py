"""Figures of attention: the share that is read of each layer and of each token."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from stc_core.display import percent
from stc_core.figures.style import FAINT, PALETTE, one_line, settle
from stc_core.interpret.explanation import Token, token_parts


def layer_shares(
    layers: Sequence[int], shares: Sequence[float], *, layer_names: Sequence[str] = ()
) -> go.Figure:
    """The share of each layer in what is read; a line marks equal shares."""
    alike = 1 / len(layers)
    names = [
        f" ({one_line(layer_names[layer])})" if layer < len(layer_names) else ""
        for layer in layers
    ]
    figure = go.Figure(
        go.Scatter(
            x=list(layers),
            y=list(shares),
            mode="lines+markers",
            line={"color": PALETTE[0], "width": 2.2},
            marker={"size": 9},
            customdata=[[layer] for layer in layers],
            hovertext=[
                f"layer {layer}{name}: {percent(share)}"
                for layer, name, share in zip(layers, names, shares, strict=True)
            ],
            hoverinfo="text",
        )
    )
    figure.add_hline(
        y=alike,
        line={"color": FAINT, "dash": "dot"},
        annotation={"text": f"equal shares {percent(alike)}", "font": {"size": 12}},
    )
    return settle(
        figure,
        height=280,
        xaxis={"title": "layer", "dtick": 1},
        yaxis={
            "title": "share that is read",
            "tickformat": ".0%",
            "rangemode": "tozero",
        },
    )


def attended_tokens(explanation: Mapping[str, Any], label: str) -> list[Token]:
    """The tokens with their shares in what is read for `label`, which sum to one."""
    shares = explanation["attention"]["tokens"][label]
    return [
        token._replace(value=share)
        for token, share in zip(token_parts(explanation, label), shares, strict=True)
    ]
