"""Home, below its title: what this is, where to start, and the recent runs."""

import streamlit as st

from stc_core.data.uploads import SAMPLE, read_choice, write_choice
from stc_core.display import percent
from stc_core.errors import StcError
from stc_core.export.example_run import EXAMPLE_PATH, example_metrics, open_example
from stc_core.runs.run import Run, list_runs
from ui.shell.messages import escape, show_error
from ui.shell.page_list import DATA, EXAMPLES, LAYERS, NEURONS, PAGES, RUNS, TRAIN
from ui.shell.run_badge import badge, headline
from ui.state.navigation import go, link

SHOWN = 6
RECENT_WIDTHS = (4, 2, 2, 2, 2)
SAMPLE_LABEL = "topic"
EXAMPLE_NEURON = "mlp.6.1470.max"
"""A neuron of the example: the texts on which it is highest are about memberships."""
EXAMPLE_TEXT = 636
"""A complaint about a drone that gets the label subscription for one word in it."""
LOOKS = (
    (LAYERS, "How well each layer knows the topics", {}),
    (NEURONS, "A neuron for memberships", {"neuron": EXAMPLE_NEURON}),
    (EXAMPLES, "A wrong answer, and the word behind it", {"example": EXAMPLE_TEXT}),
)
"""The first looks at the example: a page, the words of its button, and the place."""


def ways_to_begin() -> None:
    """Say what this is, and draw the ways to begin."""
    st.markdown(
        "Upload a table of labelled texts and choose a language model. See **in which "
        "layers and neurons the model already knows your labels**. Get a small "
        "classifier that runs on part of the model, and see the reasons for each "
        "decision."
    )
    with st.container(horizontal=True):
        if st.button("Try the sample", type="primary", icon=":material/play_arrow:"):
            open_sample()
        if st.button("Use my data", icon=":material/upload_file:"):
            go(DATA, data=None)


def open_sample() -> None:
    """Go to the sample with its topic as the label, whatever was chosen before."""
    choice = read_choice(SAMPLE)
    columns = {"text": "text", "labels": (SAMPLE_LABEL,), "id": "id"}
    write_choice(SAMPLE, choice.changed(**columns, thought=None, reply=None))
    go(DATA, data=SAMPLE)


def example_box() -> None:
    """Say what the example found, and draw the buttons that open it.

    A damaged archive is said in its place: the rest of the page works without it.
    """
    try:
        found = example_sentence()
    except StcError as error:
        show_error(error)
        return
    with st.container(border=True):
        st.markdown(f":material/science: **An example to look at.** {found}")
        with st.container(horizontal=True):
            for page, label, place in LOOKS:
                if st.button(label, icon=PAGES[page][1], key=f"example_{page}"):
                    go(page, run=open_example().folder.name, **place)


def example_sentence() -> str:
    """What the example found, as its metrics say it."""
    metrics = example_metrics()
    neurons, test, others = metrics["neurons"], metrics["test"], metrics["baselines"]
    sentences = (
        f"This run is finished. It read messages to a shop, on "
        f"{len(metrics['classes'])} topics. {neurons['selected']:,} of the model's "
        f"{neurons['total']:,} neurons name the topic of {percent(test['accuracy'])} "
        f"of {test['n']:,} new messages. All neurons together name "
        f"{percent(others['all_sites']['accuracy'])}, and the words alone "
        f"{percent(others['tfidf']['accuracy'])}."
    )
    return sentences.replace(" %", "\N{NO-BREAK SPACE}%")


def three_steps() -> None:
    """Draw the three steps from a table to a look inside the model."""
    captions = (
        ("1 · Data", "Upload a table or use the sample. Problems are listed by row."),
        ("2 · Train", "A sparse probe reads every layer. The best neurons are kept."),
        ("3 · Look inside", "See layers, neurons and single texts, word by word."),
    )
    for column, (title, text) in zip(st.columns(3), captions, strict=True):
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{title}**  \n{text}")


def recent(runs: list[Run]) -> None:
    """Draw the newest runs in a list, each with its result."""
    st.subheader("Recent runs", anchor=False)
    if not runs:
        st.info("No run yet. Train on the sample: it takes less than a minute.")
        return
    names = ("Run", "State", "Test accuracy", "Neurons kept", "Layers read")
    for column, name in zip(st.columns(RECENT_WIDTHS), names, strict=True):
        column.caption(name)
    for run in runs[:SHOWN]:
        name, state, *facts = st.columns(RECENT_WIDTHS, vertical_alignment="center")
        page = LAYERS if run.done else TRAIN
        with name:
            link(page, escape(run.name), run=run.folder.name)
        with state:
            badge(run)
        for column, fact in zip(facts, headline(run), strict=True):
            column.markdown(fact)
    link(RUNS, f"All runs ({len(runs):,})", icon=PAGES[RUNS][1])


def show_page() -> None:
    """Draw the page below its title."""
    ways_to_begin()
    st.space("xsmall")
    if EXAMPLE_PATH.is_file():
        example_box()
    st.space("xsmall")
    three_steps()
    st.space("small")
    recent(list_runs())
