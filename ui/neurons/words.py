"""The words that the classifier reads beside its neurons."""

import streamlit as st

from stc_core.analysis.summary import words_finding
from stc_core.interpret.word_table import word_table
from stc_core.runs.run import Run
from ui.cache.neuron_values import word_readout_of

ABOUT_WORDS = (
    "*Raises* is the class whose score the word raises most, *weight* by how much in a "
    "text of this word alone. In longer texts a word counts less."
)


def show_words(run: Run) -> None:
    """Show what words add, and the table of the words, if the run reads any."""
    if (words := word_readout_of(run)) is None:
        return
    found = words_finding(run.metrics)
    with st.expander(
        f"Words beside the neurons ({len(words.words):,})", icon=":material/title:"
    ):
        if found is not None:
            st.markdown(found.sentence)
        st.dataframe(
            word_table(words, run.metrics["classes"]),
            hide_index=True,
            height=320,
            column_config={
                "importance": st.column_config.NumberColumn(format="%.3f"),
                "weight": st.column_config.NumberColumn(format="%.2f"),
            },
            alt="Words that the classifier reads, the most important first",
        )
        st.caption(ABOUT_WORDS)
