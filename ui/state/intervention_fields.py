"""The fields that say how neurons are changed inside the language model."""

from collections.abc import Mapping
from typing import NamedTuple

import streamlit as st

WAYS = {
    "mean": "Set to the mean",
    "zero": "Set to 0",
    "resample": "Take from another text",
    "steer": "Steer",
}


class Choice(NamedTuple):
    """What the fields say: the name of the way, and standard deviations for "steer"."""

    how: str
    steer: float = 0.0

    @property
    def is_nothing(self) -> bool:
        return self.how == "steer" and self.steer == 0


def choose_intervention(ways: Mapping[str, str], *, key: str, steer: float) -> Choice:
    """Draw the ways, given by name and title, and the number by which to steer.

    `steer` is the number at first; `key` begins the keys of the widgets.
    """
    how = st.segmented_control(
        "How",
        list(ways),
        default="mean",
        required=True,
        format_func=lambda name: ways[name],
        key=f"{key}_how",
    )
    if how != "steer":
        return Choice(how)
    chosen = st.number_input(
        "Standard deviations", -20.0, 20.0, steer, 1.0, key=f"{key}_steer"
    )
    return Choice(how, chosen)


def say_nothing_changes() -> None:
    """Say why a choice that `is_nothing` cannot be measured."""
    st.info("Steering by 0 changes nothing. Choose another number.")
