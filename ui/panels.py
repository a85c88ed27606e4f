"""Tables whose rows lead somewhere."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from stc_core.clicks import click_place
from ui.place import clicked

_NUMBERS = {
    "r": "%+.2f",
    "weight": "%+.3f",
    "deviations above": "%.1f",
    "activation": "%.3f",
    "distance": "%.2f",
}
ROW = 35


def places_table(
    table: pd.DataFrame,
    places: Sequence[Mapping[str, Any]],
    *,
    key: str,
    alt: str = "A table whose rows lead to what they name",
    most: int = 8,
    **config: Any,
) -> None:
    """A table; the row that is picked moves the context to its one of `places`."""
    numbers = {
        name: st.column_config.NumberColumn(format=form)
        for name, form in _NUMBERS.items()
        if name in table
    }
    st.dataframe(
        table,
        key=key,
        on_select=clicked(key, lambda now, event: click_place(now, event, places)),
        selection_mode="single-row",
        hide_index=True,
        height=ROW * (1 + min(len(table), most)) + 3,
        column_config=numbers | config,
        alt=alt,
    )
