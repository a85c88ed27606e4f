"""Tables whose rows are links, and the sizes of fields."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from stc_core.runs.run import Run
from ui.cache.texts import texts_of
from ui.state.clicks import click_place
from ui.state.navigation import clicked

_NUMBERS = {
    "r": "%+.2f",
    "weight": "%+.3f",
    "deviations above": "%.1f",
    "activation": "%.3f",
    "distance": "%.2f",
}
FIELD = 68
"""The height of a field with its label, in pixels. Streamlit first draws the field
without the label. A container of this height keeps everything below in place."""
FIELD_LINE = 40
"""The height of a field without a label, in pixels."""
FIGURE_AND_TEXT = (11, 5)
"""The widths of a figure and of what stands beside it."""
PIN: dict[str, Any] = {"pinned": True}
"""Settings of a column that keeps its width and stays on the left. The text columns
take the remaining width."""
PERCENT = "%.1f %%"
ROW = 35
_ROW_HELP = "The row in the table, as on the page Data."
_FILE_HELP = "data: the table that the run was trained on; test: the test file."


def in_percent(table: pd.DataFrame, *names: str) -> pd.DataFrame:
    """`table` with these columns times 100, to be shown in the format PERCENT.

    Streamlit's own format "percent" drops zeros, so that 75% stands under 62.86%.
    """
    return table.assign(**{name: 100 * table[name] for name in names})


def places_table(
    table: pd.DataFrame,
    places: Sequence[Mapping[str, Any]],
    *,
    key: str,
    alt: str = "A table whose rows are links",
    most: int = 8,
    **config: Any,
) -> None:
    """Draw a table; a click on a row moves the context to the entry of `places` for it.

    `places` holds the changes of the context, one entry for each row.
    """
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
    """The settings of the columns that say where a text stands: row, and file if two.

    If the run has a separate test file, a row number alone does not name a text.
    """
    row = st.column_config.NumberColumn("Row", width=55, help=_ROW_HELP, **PIN)
    file = st.column_config.TextColumn("File", width=50, help=_FILE_HELP, **PIN)
    return {"file": file, "row": row} if texts_of(run).several else {"row": row}
