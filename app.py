"""Home: what this is, where to start, and the recent runs."""

import streamlit as st

from stc_core.runs.run import Run, list_runs
from ui.shell.frame import frame
from ui.shell.messages import escape, guard
from ui.shell.page_list import DATA, LAYERS, PAGES, RUNS, TRAIN
from ui.shell.run_badge import badge, headline
from ui.state.navigation import go, link

SHOWN = 6
COLUMNS = (4, 2, 2, 2, 2)


def start() -> None:
    st.markdown(
        "Upload a table of labelled texts and choose a language model. See **in which "
        "layers and neurons the model already knows your labels**. Get a small "
        "classifier that runs on part of the model, and see the reasons for each "
        "decision."
    )
    with st.container(horizontal=True):
        if st.button("Try the sample", type="primary", icon=":material/play_arrow:"):
            go(DATA, data="sample")
        if st.button("Use my data", icon=":material/upload_file:"):
            go(DATA, data=None)


def steps() -> None:
    captions = (
        ("1 · Data", "Upload a table or use the sample. Problems are listed by row."),
        ("2 · Train", "A sparse probe reads every layer. The best neurons are kept."),
        ("3 · Look inside", "See layers, neurons and single texts, word by word."),
    )
    for column, (title, text) in zip(st.columns(3), captions, strict=True):
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{title}**  \n{text}")


def recent(runs: list[Run]) -> None:
    st.subheader("Recent runs", anchor=False)
    if not runs:
        st.info("No run yet. Start with the sample: it takes less than a minute.")
        return
    names = ("Run", "State", "Test accuracy", "Neurons kept", "Layers read")
    for column, name in zip(st.columns(COLUMNS), names, strict=True):
        column.caption(name)
    for run in runs[:SHOWN]:
        name, state, *facts = st.columns(COLUMNS, vertical_alignment="center")
        page = LAYERS if run.done else TRAIN
        with name:
            link(page, escape(run.name), run=run.folder.name)
        with state:
            badge(run)
        for column, fact in zip(facts, headline(run), strict=True):
            column.markdown(fact)
    link(RUNS, f"All runs ({len(runs):,})", icon=PAGES[RUNS][1])


frame("STC Studio", ":material/biotech:")
with guard():
    start()
    st.space("xsmall")
    steps()
    st.space("small")
    recent(list_runs())
