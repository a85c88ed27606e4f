"""The style of the pages, which the browser has before it draws anything else."""

from functools import cache
from pathlib import Path
from time import monotonic, sleep

import streamlit as st
from streamlit.components.v2 import component

_HERE = Path(__file__).parent
_STYLED = "_styled"
_KEY = "page_style_of_window"
_LONGEST_S, _STEP_S = 2.0, 0.02
"""A browser that has not answered within this time gets the page all the same."""

_mount = component(
    "stc_page_style",
    html="<span></span>",
    js=(_HERE / "page_style.js").read_text("utf-8"),
    isolate_styles=False,
)


def style_page() -> None:
    """Give the browser the style of the pages; once a session, wait until it has it.

    The browser would else draw a part of the page first, and then move it up by 51
    pixels. It answers by a rerun, which ends the wait.
    """
    asks = st.context.url is not None and _STYLED not in st.session_state
    data = {"style": _style(), "asks": asks}
    with st.container(key="page_style"):
        _mount(key=_KEY, data=data, on_styled_change=_note)
        if asks:
            _await_answer()
    _note()


def _note() -> None:
    st.session_state[_STYLED] = True


def _await_answer() -> None:
    """Wait for the rerun of the browser, which each `empty` lets through."""
    place, end = st.empty(), monotonic() + _LONGEST_S
    while monotonic() < end:
        sleep(_STEP_S)
        place.empty()


@cache
def _style() -> str:
    return (_HERE / "page.css").read_text("utf-8")
