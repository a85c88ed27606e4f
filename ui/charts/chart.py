"""Charts as all pages show them: with a button that saves a picture, and clicks."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import plotly.graph_objects as go

from stc_core.figures.tuning import nu_curve
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from ui.cache.run_files import read
from ui.charts.plot import plot
from ui.state.clicks import click_layer
from ui.state.context import Context
from ui.state.navigation import context, set_context


def chart(
    figure: go.Figure,
    key: str,
    *,
    alt: str,
    turn: Callable[[Context, Mapping[str, Any]], Context] | None = None,
    on_click: Callable[[Mapping[str, Any]], None] | None = None,
) -> None:
    """Draw `figure` with a button that saves it as KEY.png at twice its size.

    On a click, `turn` gives the new context, or `on_click` is called with the event.
    The background takes the colour of the page, so that the picture can be read
    anywhere.
    """
    figure.layout.paper_bgcolor = None
    if turn is not None:
        on_click = partial(_move, turn)
    plot(figure, key, alt=alt, on_click=on_click)


def _move(
    turn: Callable[[Context, Mapping[str, Any]], Context], event: Mapping[str, Any]
) -> None:
    set_context(turn(context(), event))


def variability_chart(run: Run) -> None:
    """Draw nu by layer, with the layer of the context and the tuned blocks marked."""
    variability = read(run, "variability")
    metrics = read(run, "metrics") if run.has(RunFile.METRICS) else {}
    figure = nu_curve(
        variability["nu"],
        best=variability["best_layer"],
        layer_names=metrics.get("backbone", {}).get("layer_names", ()),
        picked=context().layer,
        tuned=metrics.get("tuning", {}).get("blocks", ()),
    )
    alt = "Variability of the hidden states by layer"
    chart(figure, "nu_chart", alt=alt, turn=click_layer)
