"""Tables whose rows lead somewhere, and parts of a page that run by themselves."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import pandas as pd
import streamlit as st

from stc_core.runs.run import Run
from ui.cache.texts import texts_of
from ui.shell.messages import guard
from ui.state.clicks import click_place
from ui.state.navigation import clicked, context

_NUMBERS = {
    "r": "%+.2f",
    "weight": "%+.3f",
    "deviations above": "%.1f",
    "activation": "%.3f",
    "distance": "%.2f",
}
FIELD = 68
"""The height of a field with its label. Until its code is there Streamlit draws it
without the label; a container of this height in its row keeps what is below there."""
PIN: dict[str, Any] = {"pinned": True}
"""A column that keeps its width and stands on the left: the others, which are the
texts, take what room there is."""
PERCENT = "%.1f %%"
ROW = 35
_ROW_HELP = "Of the table, as on the page Data."
_FILE_HELP = "data: that which the run learned from; test: the test file."


def in_percent(table: pd.DataFrame, *names: str) -> pd.DataFrame:
    """`table` with the shares of these columns times 100, to be shown as PERCENT.

    The format "percent" of a column drops zeros: 75% stands under 62.86%.
    """
    return table.assign(**{name: 100 * table[name] for name in names})


def apart(draw: Callable[..., None]) -> Callable[..., None]:
    """`draw` as a part of the page that a click in it runs again alone.

    A click that moves the context runs the whole page: the rest shows it, too.
    """

    @st.fragment
    def part(at: Any, *given: Any) -> None:
        if context() != at:
            st.rerun()
        with guard():
            draw(*given)

    @wraps(draw)
    def call(*given: Any) -> None:
        part(context(), *given)

    return call


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
        placeholder="–",
        alt=alt,
    )


def place_columns(run: Run) -> dict[str, Any]:
    """The columns that say where a text is in what was given, and how they look.

    With a file for the test row 1 may be of either, even where all are of one.
    """
    row = st.column_config.NumberColumn("Row", width=55, help=_ROW_HELP, **PIN)
    file = st.column_config.TextColumn("File", width=50, help=_FILE_HELP, **PIN)
    return {"file": file, "row": row} if texts_of(run).several else {"row": row}
