"""The button that saves a table as CSV, safe for spreadsheets unless the user asks."""

import io
from collections.abc import Callable

import pandas as pd
import streamlit as st

from stc_core.cells import formula_note
from stc_core.frames import write_csv

KEEP = "Keep cells that begin like a formula"
KEEP_HELP = (
    "A spreadsheet runs a cell that begins with = + - or @. So an apostrophe is "
    "written before it. Turn this on if a program reads the file."
)


def csv_button(
    table: pd.DataFrame, name: str, *, key: str, label: str = "Download CSV"
) -> None:
    """Draw the button for `table` as the file `name`.

    If cells look like formulas, a note says how many, with a switch to keep them.
    """
    text = io.StringIO(newline="")
    count = write_csv(table, text)
    if count:
        st.caption(f":material/info: {formula_note(count)}")
        if st.toggle(KEEP, help=KEEP_HELP, key=f"formulas_{key}"):
            text = io.StringIO(newline="")
            write_csv(table, text, keep_formulas=True)
    save_csv(text.getvalue().encode(), name, key=f"csv_{key}", label=label)


def save_csv(
    data: bytes | Callable[[], bytes],
    name: str,
    *,
    key: str,
    label: str = "Download CSV",
) -> None:
    """Draw the button that saves these bytes, or those of a file, as CSV."""
    st.download_button(
        label,
        data,
        file_name=name,
        mime="text/csv",
        on_click="ignore",
        icon=":material/download:",
        key=key,
    )


def hide_table_export() -> None:
    """Hide the button over each table that saves it as CSV.

    Streamlit writes this file in the browser, with formulas.
    """
    st.html(
        "<style>[data-testid='stElementToolbarButton']:has("
        "button[aria-label^='Download as CSV']) { display: none }</style>"
    )
