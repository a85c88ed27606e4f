"""A Plotly figure that stays on the page while it changes.

Streamlit's own chart is rebuilt and drawn twice whenever its figure changes.
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
"""The folder of files that the server serves, as .streamlit/config.toml sets."""
_PNG_SCALE = 2
HEIGHT = 450
"""The height of a figure that sets none, in pixels."""
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
    """Draw `figure` with two buttons: full screen, and save as KEY.png.

    The picture has twice the size of the figure.
    A click on a point calls `on_click` with an event of the form that
    `st.plotly_chart` passes for a selection.
    """
    name = library()
    if name is None:
        _streamlit_chart(figure, key, alt, on_click)
        return
    drawn = figure.to_dict()
    drawn["layout"].pop("template", None)  # the page sets it: its colours may change
    height = drawn["layout"].get("height", HEIGHT)
    data = {
        "figure": plotly.io.to_json(drawn, validate=False),
        "library": name,
        "png": {"filename": key, "scale": _PNG_SCALE},
        "height": height,
        "clicks": on_click is not None,
        "alt": alt,
    }

    def pass_click() -> None:
        event = st.session_state[key].click
        if on_click is not None and event is not None:
            on_click(event)

    _mount(key=key, data=data, height=height, on_click_change=pass_click)


def library() -> str | None:
    """The name of the file with Plotly's script that the server serves.

    None if static files are not served, or if the file cannot be written.
    """
    if not st.get_option("server.enableStaticServing"):
        return None
    served = STATIC / f"plotly-{plotly.__version__}.min.js"
    if not served.exists():
        source = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
        try:
            STATIC.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=STATIC, prefix=".") as folder:
                part = shutil.copyfile(source, Path(folder) / served.name)
                part.replace(served)  # never half a file, even if two processes copy
        except OSError:  # no permission to write to the folder, or a full disk
            return None
    return served.name


def _streamlit_chart(
    figure: go.Figure, key: str, alt: str, on_click: Click | None
) -> None:
    """Draw `figure` with Streamlit's own chart."""
    config = {
        "displaylogo": False,
        "modeBarButtons": [["toImage"]],
        "toImageButtonOptions": {"format": "png", "scale": _PNG_SCALE, "filename": key},
    }
    clicks: dict[str, Any] = {}
    if on_click is not None:
        pass_click = lambda: on_click(st.session_state[key])  # noqa: E731
        clicks = {"on_select": pass_click, "selection_mode": "points"}
    st.plotly_chart(figure, key=key, alt=alt, config=config, **clicks)
