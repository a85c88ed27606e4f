"""The labels of one text level by level, and the reply that is written for it."""

from itertools import groupby
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from stc_core.display import percent
from stc_core.metrics.text import generation_measures
from stc_core.runs.layout import RunFile
from stc_core.runs.metrics import RunMetrics, hierarchy_facts
from stc_core.runs.run import Run
from ui.cache.run_files import classifier, read
from ui.shell.messages import escape, escape_piece
from ui.shell.page_list import HIERARCHY, PAGES
from ui.state.text_input import say_if_long, submit_text, type_text


class DecodingFields(NamedTuple):
    """What the fields of `choose_decoding` say, in the order of `Decoding`."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


def one_text(run: Run, metrics: RunMetrics) -> None:
    """Show the label of a typed text at each level, its compute, and its reply."""
    writes = "parts" in hierarchy_facts(metrics)
    text, coarse, least, decoding = _text_form(metrics, writes)
    say_if_long(text)
    if not text:
        return
    from stc_core.classifiers.hierarchical import limit_levels  # imports torch
    from stc_core.classifiers.sampling import Decoding

    pieces = iter(())
    with st.spinner("Classifying …"):
        model: Any = classifier(run)
        if writes and not coarse:
            answer, pieces = model.tell(text, Decoding(*decoding))
        else:
            model = limit_levels(model, 1 if coarse else None, least or None)
            answer = model.answer([text])
        steps = model.steps(text, answer)
    row = st.container(horizontal=True, gap="medium")
    for step in steps:
        row.metric(
            f"{escape(step['column'])} · decided at layer {step['layer']}",
            step["label"],
            f"{percent(step['probability'])} · {step['flops'] / 1e6:,.0f} MFLOP so "
            f"far, {100 * step['flops_share']:.0f} % of the model",
            delta_color="off",
            delta_arrow="off",
            border=True,
        )
    if coarse:
        st.caption("The blocks above this layer were not run.")
    elif len(steps) < answer.nodes.shape[1]:
        st.caption(f"No finer label has a probability of {percent(least)} or more.")
    for part, of_part in groupby(pieces, key=lambda piece: piece.part):
        layer = model.layers_[model.tree_.depth + model.parts_.index(part)]
        st.caption(f"{part.capitalize()} · written at layer {layer}")
        st.write_stream(escape_piece(piece.text) for piece in of_part)


def _text_form(
    metrics: RunMetrics, writes: bool
) -> tuple[str, bool, float, DecodingFields]:
    """Draw the form; return the text, whether to stop early, the least probability of
    a fine label, and how to decode.

    Stopping early means the first level only.
    """
    levels = len(hierarchy_facts(metrics)["sizes"]) > 1
    st.subheader("A text of your own", anchor=False)
    with st.form("one", border=False):
        text = type_text("Type a text to see its label at each level.", height=80)
        row = st.container(horizontal=True, vertical_alignment="center")
        with row:
            label = "Answer" if writes else "Classify"
            submit_text(label, icon=PAGES[HIERARCHY][1], without=None)
        only = "Coarsest label only" if levels else "Label only"
        coarse = row.toggle(only, key="coarse_only")
        least = 0.0
        if levels and not writes:
            least = row.number_input(
                "Least probability", 0.0, 1.0, 0.0, 0.05, key="least", width=160,
                help="A coarser label is given where the finer one is less probable.",
            )  # fmt: skip
        decoding = choose_decoding() if writes else DecodingFields()
    return text, coarse, least, decoding


def choose_decoding() -> DecodingFields:
    """Draw the settings of decoding; return them. They say how words are chosen."""
    row = st.container(horizontal=True)
    temperature = row.number_input(
        "Temperature", 0.0, 2.0, 0.0, 0.1, key="temperature", width=130,
        help="0 always takes the likeliest word. Higher values also draw others.",
    )  # fmt: skip
    top_p = row.number_input(
        "Top-p", 0.05, 1.0, 1.0, 0.05, key="top_p", width=130,
        help="Words are drawn from the likeliest words with this total probability.",
    )  # fmt: skip
    seed = row.number_input("Seed", 0, value=0, key="seed", width=130)
    return DecodingFields(temperature, top_p, int(seed))


def generation(run: Run, scores: dict[str, Any]) -> None:
    """Show the scores of the replies to test texts, and the replies themselves."""
    st.subheader("The reply", anchor=False)
    value = st.column_config.NumberColumn(format="%.2f")
    st.dataframe(
        pd.DataFrame(generation_measures(scores)),
        hide_index=True,
        column_config={"value": value},
    )
    caption = f"On {scores['n']:,} test texts; each word is the likeliest one."
    if scores["cut"]:
        caption += (
            f" In {scores['cut']:,} of {scores['of']:,} rows the reply or thought was "
            f"cut to {scores['length']} tokens."
        )
    st.caption(caption)
    if not run.has(RunFile.REPLIES):  # it came without its texts
        return
    with st.expander("Written and true replies"):
        frame = read(run, "replies").merge(
            read(run, "corpus")["text"], left_on="row", right_index=True
        )
        st.dataframe(
            frame[["text", *frame.columns.drop(["row", "text"])]], hide_index=True
        )
