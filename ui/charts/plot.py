"""A Plotly figure that stays on the page while it changes.

Streamlit's own chart is made anew, and drawn twice, whenever its figure changes.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import plotly
import plotly.graph_objects as go
import plotly.io
import streamlit as st
from streamlit.components.v2 import component

_HERE = Path(__file__).parent
STATIC = _HERE.parents[1] / "static"
"""What the server gives out as it is; .streamlit/config.toml tells it to."""
_PNG_SCALE = 2
HEIGHT = 450
"""Of a figure that says none, in pixels."""
Click = Callable[[Mapping[str, Any]], None]

_mount = component(
    "stc_plot",
    html='<div class="stc-plot" role="figure" aria-busy="true"></div>',
    css=".stc-plot { width: 100%; overflow: hidden; }",
    js=(_HERE / "plot.js").read_text("utf-8"),
    isolate_styles=False,
)


def plot(
    figure: go.Figure, key: str, *, alt: str, on_click: Click | None = None
) -> None:
    """Draw `figure`; a button saves it as KEY.png at twice its size, one fills the
    screen with it.

    `on_click` is told of a click on a point, as `st.plotly_chart` tells of a selection.
    """
    name = library()
    if name is None:
        _as_streamlit_does(figure, key, alt, on_click)
        return
    drawn = figure.to_dict()
    drawn["layout"].pop("template", None)  # the page's: its colours may change
    height = drawn["layout"].get("height", HEIGHT)
    data = {
        "figure": plotly.io.to_json(drawn, validate=False),
        "library": name,
        "png": {"filename": key, "scale": _PNG_SCALE},
        "height": height,
        "clicks": on_click is not None,
        "alt": alt,
    }

    def told() -> None:
        event = st.session_state[key].click
        if on_click is not None and event is not None:
            on_click(event)

    _mount(key=key, data=data, height=height, on_click_change=told)


def library() -> str | None:
    """The name of Plotly's script among what is served; None if it cannot be there."""
    if not st.get_option("server.enableStaticServing"):
        return None
    served = STATIC / f"plotly-{plotly.__version__}.min.js"
    if not served.exists():
        source = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
        try:
            STATIC.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=STATIC, prefix=".") as folder:
                part = shutil.copyfile(source, Path(folder) / served.name)
                part.replace(served)  # whole, whoever else copies it now
        except OSError:  # a folder that only others may write to, or a full disk
            return None
    return served.name


def _as_streamlit_does(
    figure: go.Figure, key: str, alt: str, on_click: Click | None
) -> None:
    config = {
        "displaylogo": False,
        "modeBarButtons": [["toImage"]],
        "toImageButtonOptions": {"format": "png", "scale": _PNG_SCALE, "filename": key},
    }
    clicks: dict[str, Any] = {}
    if on_click is not None:
        told = lambda: on_click(st.session_state[key])  # noqa: E731
        clicks = {"on_select": told, "selection_mode": "points"}
    st.plotly_chart(figure, key=key, alt=alt, config=config, **clicks)
