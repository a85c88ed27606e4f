"""A button that makes the report of a run when clicked, and downloads it."""

import streamlit as st

from stc_core.report.report import html_report
from stc_core.runs.run import Run

ABOUT = (
    "One HTML file of about 5 MB with interactive figures, tables, settings and "
    "limits. It opens without a network. It quotes texts of your data."
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
