"""Buttons one step back and one forth, which a key of the keyboard presses, too."""

from typing import Any, Literal

import streamlit as st

from ui.state.navigation import remember
from ui.state.steps import Steps

Way = Literal["Previous", "Next"]
_ICONS = {"Previous": ":material/chevron_left:", "Next": ":material/chevron_right:"}


def step_button(way: Way, field: str, found: Steps, *, row: Any = st) -> None:
    """Move `field` of the context one step; P and N do so wherever one does not type.

    The keys are letters: arrows move sliders, tables and the page.
    """
    there = found.back if way == "Previous" else found.forth
    row.button(
        way,
        icon=_ICONS[way],
        key=f"step_{field}_{way}",
        disabled=there is None,
        shortcut=way[0],
        help=f"{found.said}. Key {way[0]}, unless you are typing.",
        on_click=lambda: remember(**{field: there}),
    )
