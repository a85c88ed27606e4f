"""The report of a run as one file, made when it is asked for."""

import streamlit as st

from stc_core.report.report import html_report
from stc_core.runs.run import Run

ABOUT = (
    "One HTML file of about 5 MB with figures to point at, tables, settings, limits. "
    "It needs no network, and it quotes texts of the data."
)


def report_button(run: Run, label: str = "Report as HTML") -> None:
    """A button that downloads the report of `run`."""
    st.download_button(
        label,
        lambda: html_report(run),
        file_name=f"{run.folder.name}_report.html",
        mime="text/html",
        on_click="ignore",
        icon=":material/summarize:",
        help=ABOUT,
        key=f"report_{run.folder.name}",
    )
