"""Would other rows have kept the same neurons? By layer and by site."""

import streamlit as st

from stc_core.analysis.inside.stability import (
    ABOUT_OVERLAP,
    overlap_table,
    ranking_choice,
    stable_choice,
    stable_neurons,
)
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from stc_core.selection.repeats.kinds import REPEATS
from ui.cache.run_files import read


def show_stability(run: Run) -> None:
    """Show how far other rows keep the same neurons, if the run measured it."""
    if not run.has(RunFile.STABILITY):
        return
    record = read(run, "stability")
    title = f"How stable: {record['always']:,} of {record['kept']:,} always chosen"
    with st.expander(title, icon=":material/anchor:"):
        choices = *ranking_choice(run.metrics), *stable_choice(run.metrics)
        for said in (*stable_neurons(record), *choices):
            st.markdown(said)
        table = overlap_table(record)
        if table.empty:
            return
        shares = st.column_config.NumberColumn(format="%.1f %%")
        percents = [*REPEATS, "chance"]
        table[percents] = 100 * table[percents].astype(float)
        st.dataframe(
            table,
            placeholder="–",
            hide_index=True,
            height="content",
            column_config=dict.fromkeys(percents, shares),
            alt="How many neurons two selections share, by layer and by site",
        )
        st.caption(ABOUT_OVERLAP)
