"""Charts as all pages show them: a button for the picture, a description, clicks."""

from collections.abc import Callable, Mapping
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from stc_core.context import Context
from ui.place import clicked

PNG_SCALE = 2


def chart(
    figure: go.Figure,
    key: str,
    *,
    alt: str,
    turn: Callable[[Context, Mapping[str, Any]], Context] | None = None,
) -> None:
    """Draw `figure`, whose one button saves it as KEY.png at twice its size.

    `turn` moves the context by a click on a point. The page's own colour is behind the
    figure, so that the picture reads wherever it is put.
    """
    figure.update_layout(paper_bgcolor=None)
    clicks: dict[str, Any] = {}
    if turn is not None:
        clicks = {"on_select": clicked(key, turn), "selection_mode": "points"}
    st.plotly_chart(figure, key=key, alt=alt, config=_config(key), **clicks)


def _config(name: str) -> dict[str, Any]:
    return {
        "displaylogo": False,
        "modeBarButtons": [["toImage"]],
        "toImageButtonOptions": {"format": "png", "scale": PNG_SCALE, "filename": name},
    }
