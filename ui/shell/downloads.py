"""Buttons that download: a table as CSV, safe for spreadsheets, and a run's report."""

import io
from collections.abc import Callable

import pandas as pd
import streamlit as st

from stc_core.cells import formula_note
from stc_core.frames import write_csv
from stc_core.report.report import html_report
from stc_core.runs.run import Run

KEEP = "Keep cells that begin like a formula"
KEEP_HELP = (
    "A spreadsheet runs a cell that begins with = + - or @. So an apostrophe is "
    "written before it. Turn this on if a program reads the file."
)
ABOUT = (
    "One HTML file of about 5 MB with interactive figures, tables, settings and "
    "limits. It opens without a network. It quotes texts of your data."
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


def report_button(
    run: Run, label: str = "Report as HTML", *, quiet: bool = False
) -> None:
    """A button that downloads the report of `run`; `quiet`: without a frame."""
    st.download_button(
        label,
        lambda: html_report(run),
        file_name=f"{run.folder.name}_report.html",
        mime="text/html",
        on_click="ignore",
        icon=":material/summarize:",
        help=ABOUT,
        type="tertiary" if quiet else "secondary",
        key=f"report_{run.folder.name}",
    )
