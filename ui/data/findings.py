"""The findings about a table, each with the buttons that mend it, and their undo."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from stc_core.config import DataConfig, Repair
from stc_core.data.corpus import Corpus
from stc_core.data.findings import Finding, Report
from stc_core.data.repairs import say_mend, say_repair
from stc_core.data.uploads import write_choice
from ui.shell.messages import escape

SEVERITIES = {
    "error": ("red", ":material/error:"),
    "warning": ("orange", ":material/warning:"),
    "info": ("blue", ":material/info:"),
}


def show_findings(key: str, data: DataConfig, corpus: Corpus, report: Report) -> None:
    """Draw the findings and the applied repairs on the table kept under `key`.

    A button changes the repairs of `data`, which are kept with the choice of columns.
    """
    listed = report.findings
    st.subheader(
        f"Report: {len(listed)} finding{'s' * (len(listed) != 1)}", anchor=False
    )
    if not listed:
        st.success("Nothing to mend.", icon=":material/check_circle:")
    for place, finding in enumerate(listed):
        _one_finding(key, data, finding, corpus, place)
    _repairs(key, data, report)


def with_mend(data: DataConfig, mend: Sequence[Repair]) -> DataConfig:
    """`data` with these repairs, too."""
    return data.changed(repairs=(*data.repairs, *mend))


def without_repair(data: DataConfig, repair: Repair) -> DataConfig:
    """`data` without this repair."""
    return data.changed(repairs=tuple(one for one in data.repairs if one != repair))


def _repairs(key: str, data: DataConfig, report: Report) -> None:
    """List the repairs of `data` with what they did, and a button to undo each."""
    if not data.repairs:
        return
    counts = {one.repair: one.count for one in report.repairs}
    with st.container(border=True, gap="xsmall"):
        st.markdown(
            f":green[:material/healing: **Repairs ({len(data.repairs)})**]  Your file "
            "stays as it is. Each run on this table does these repairs first."
        )
        for place, repair in enumerate(data.repairs):
            said, undo = st.columns([9, 1], vertical_alignment="center")
            n = counts.get(repair)
            done = "does not fit" if n is None else f"{n:,} row{'s' * (n != 1)}"
            said.markdown(f"{escape(say_repair(repair))} · {done}")
            if undo.button(
                "Undo", icon=":material/undo:", key=f"undo_{place}", type="tertiary"
            ):
                write_choice(key, without_repair(data, repair))
                st.rerun()


def _one_finding(
    key: str, data: DataConfig, finding: Finding, corpus: Corpus, place: int
) -> None:
    colour, icon = SEVERITIES[finding.severity]
    with st.container(border=True, gap="xsmall"):
        said, acts = (
            st.columns([7, 3], vertical_alignment="center")
            if finding.mends
            else (st.container(), None)
        )
        said.markdown(
            f":{colour}[{icon} **{finding.severity}**]  {escape(finding.message)}"
        )
        for way, mend in enumerate(finding.mends):
            assert acts is not None, finding
            if acts.button(
                escape(say_mend(mend)),
                icon=":material/healing:",
                key=f"mend_{place}_{way}",
                width="stretch",
                help="  \n".join(escape(say_repair(one)) for one in mend[:12]),
            ):
                write_choice(key, with_mend(data, mend))
                st.rerun()
        if finding.rows:
            _rows_of(finding, corpus)


def _rows_of(finding: Finding, corpus: Corpus) -> None:
    """Draw the rows that a finding names, closed at first."""
    first = ", ".join(str(row) for row in finding.rows[:12])
    more = f" and {finding.count - 12:,} more" if finding.count > 12 else ""
    rows = "Row" if finding.count == 1 else "Rows"
    with st.expander(f"{rows} {first}{more}", type="compact"):
        own = corpus.frame["file"] == finding.file
        is_listed = own & corpus.frame["row"].isin(finding.rows)
        listed = corpus.frame.loc[is_listed].set_index("row")
        order = pd.Index(finding.rows, name="row")
        st.dataframe(listed.reindex(order)[["text", "label", "split"]])
