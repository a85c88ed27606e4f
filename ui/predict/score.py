"""The score of predictions for a file that has labels of its own."""

import streamlit as st

from stc_core.analysis.confusion import FileScore, confused_pairs
from stc_core.display import interval, percent
from ui.shell.messages import escape
from ui.shell.widgets import PERCENT, in_percent

MOST_PAIRS = 8


def show_score(score: FileScore | None, label: str) -> None:
    """Draw the score with its interval, and the classes that are confused most."""
    if score is None:
        st.info(
            f"No row has a label in *{escape(label)}* that the run knows, and a text "
            "that it has not learned.",
            icon=":material/info:",
        )
        return
    right, f1, rows, pairs = st.columns([2, 2, 1, 4])
    right.metric("Accuracy", percent(score.accuracy))
    right.caption(f"95 %: {interval(score.accuracy_interval)}")
    f1.metric("Macro-F1", percent(score.macro_f1))
    bounds = score.macro_f1_interval
    f1.caption(
        f"95 %: {interval(bounds)}" if bounds else "too few rows for an interval"
    )
    rows.metric("Rows", f"{score.n:,}")
    if score.learned:
        st.caption(
            f":material/info: {score.learned:,} rows do not count: the run has learned "
            "from their texts."
        )
    if score.unknown:
        n, names = sum(score.unknown.values()), sorted(score.unknown)
        rest = "1 more row does" if n == 1 else f"{n:,} more rows do"
        shown = ", ".join(f"*{escape(name)}*" for name in names[:5])
        more = ", …" if len(names) > 5 else ""
        st.caption(
            f":orange[:material/warning:] {rest} not count: the run does not know the "
            f"label ({shown}{more})."
        )
    table = confused_pairs(score.confusion).head(MOST_PAIRS)
    with pairs:
        if not len(table):
            st.success("No row is wrong.", icon=":material/check_circle:")
            return
        st.dataframe(
            in_percent(table, "share"),
            hide_index=True,
            height=38 + 35 * min(3, len(table)),
            column_config={
                "n": st.column_config.NumberColumn("rows", width="small"),
                "share": st.column_config.NumberColumn(
                    "of the label", format=PERCENT, width="small"
                ),
            },
            alt="The classes that are confused most often",
        )
