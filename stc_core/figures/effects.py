"""The effect of a change inside the model, beside that of random neurons."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from stc_core.figures.style import GREY, MARK, figure_of, lay, row_axis, row_positions

_ROW_PX = 64


def effect_dots(
    changes: Mapping[str, float], random: Mapping[str, Sequence[float]], *, sets: str
) -> go.Figure:
    """A row for each reader: its change as a mark, those of random `sets` as dots.

    Both are in logits of the predicted class's margin.
    """
    readers = list(changes)
    rows = dict(zip(readers, row_positions(len(readers)), strict=True))
    others = {
        "type": "scatter",
        "mode": "markers",
        "name": sets,
        "x": [value for reader in readers for value in random.get(reader, ())],
        "y": [rows[reader] for reader in readers for _ in random.get(reader, ())],
        "marker": {"size": 9, "color": GREY, "opacity": 0.45},
        "hovertemplate": "%{x:.3f}<extra></extra>",
    }
    ours = {
        "type": "scatter",
        "mode": "markers+text",
        "name": "these neurons",
        "x": [changes[reader] for reader in readers],
        "y": [rows[reader] for reader in readers],
        "text": [f"{changes[reader]:.3f}" for reader in readers],
        "textposition": "top center",
        "cliponaxis": False,
        "marker": {"size": 14, "color": MARK, "symbol": "diamond"},
        "hovertemplate": "%{x:.3f}<extra></extra>",
    }
    figure = figure_of([others, ours])
    lay(
        figure,
        height=92 + _ROW_PX * len(readers),
        margin={"l": 0, "r": 24, "t": 34, "b": 40},
        xaxis={"title": "change of the margin, in logits", "rangemode": "tozero"},
        yaxis=row_axis(readers),
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
    )
    return figure
