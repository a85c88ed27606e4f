"""The buttons Previous and Next, which the keys P and N press, too."""

from typing import Any, Literal

import streamlit as st

from ui.state.navigation import remember
from ui.state.steps import Steps

Way = Literal["Previous", "Next"]
_ICONS = {"Previous": ":material/chevron_left:", "Next": ":material/chevron_right:"}


def step_button(way: Way, field: str, steps: Steps, *, row: Any = st) -> None:
    """Draw a button that moves `field` of the context one step.

    The keys P and N do the same, except while the user types. They are letters because
    the arrow keys already move sliders, tables and the page.
    """
    target = steps.back if way == "Previous" else steps.forth
    row.button(
        way,
        icon=_ICONS[way],
        key=f"step_{field}_{way}",
        disabled=target is None,
        shortcut=way[0],
        help=f"{steps.position}. Press {way[0]} when you are not typing.",
        on_click=lambda: remember(**{field: target}),
    )
