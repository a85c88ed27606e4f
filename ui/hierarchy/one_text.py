"""One text on its way down the levels, and what is written for it."""

from itertools import groupby
from typing import Any

import pandas as pd
import streamlit as st

from stc_core.classifiers.sampling import Decoding
from stc_core.display import percent
from stc_core.metrics.text import generation_measures
from stc_core.runs.run import Run
from ui.cache.run_files import classifier, read
from ui.shell.messages import escape, escape_piece
from ui.shell.page_list import HIERARCHY, PAGES
from ui.state.text_input import say_if_long, submit_text, type_text


def one_text(run: Run, metrics: dict[str, Any]) -> None:
    """A text's way down, level after level, with the compute spent, and a reply."""
    levels = len(metrics["hierarchy"]["sizes"]) > 1
    writes = "parts" in metrics["hierarchy"]
    st.subheader("A text of your own", anchor=False)
    with st.form("one", border=False):
        text = type_text("Type a text, then see its way down.", height=80)
        row = st.container(horizontal=True, vertical_alignment="center")
        with row:
            label = "Answer" if writes else "Classify"
            submit_text(label, icon=PAGES[HIERARCHY][1], without=None)
        only = "Answer coarse only" if levels else "Answer the label only"
        coarse = row.toggle(only, key="coarse_only")
        decoding = chosen_decoding() if writes else Decoding()
    say_if_long(text)
    if not text:
        return
    coming = iter(())
    with st.spinner("Classifying …"):
        cascade = classifier(run)
        if writes and not coarse:
            way, coming = cascade.tell(text, decoding)
        else:
            way = (cascade.up_to(1) if coarse else cascade).answer([text])
        steps = cascade.steps(text, way)
    row = st.container(horizontal=True, gap="medium")
    for step in steps:
        row.metric(
            f"{escape(step['column'])} · decided at layer {step['layer']}",
            step["label"],
            f"{percent(step['probability'])} · {step['flops'] / 1e6:,.0f} MFLOP so "
            f"far, {step['flops_share']:.0%} of the model",
            delta_color="off",
            delta_arrow="off",
            border=True,
        )
    if coarse:
        st.caption("The blocks above were not run.")
    for part, some in groupby(coming, key=lambda piece: piece.part):
        layer = cascade.layers_[cascade.tree_.depth + cascade.parts_.index(part)]
        st.caption(f"{part.capitalize()} · written at layer {layer}")
        st.write_stream(escape_piece(piece.text) for piece in some)


def chosen_decoding() -> Decoding:
    """How the words of a reply are chosen."""
    row = st.container(horizontal=True)
    temperature = row.number_input(
        "Temperature", 0.0, 2.0, 0.0, 0.1, key="temperature", width=130,
        help="0 takes the likeliest word each time; more draws others, too.",
    )  # fmt: skip
    top_p = row.number_input(
        "Top-p", 0.05, 1.0, 1.0, 0.05, key="top_p", width=130,
        help="Words are drawn among the likeliest that make up this probability.",
    )  # fmt: skip
    seed = row.number_input("Seed", 0, value=0, key="seed", width=130)
    return Decoding(temperature, top_p, int(seed))


def generation(run: Run, scores: dict[str, Any]) -> None:
    """How good the replies to test texts are, and what they are."""
    st.subheader("The reply", anchor=False)
    value = st.column_config.NumberColumn(format="%.2f")
    st.dataframe(
        pd.DataFrame(generation_measures(scores)),
        hide_index=True,
        column_config={"value": value},
    )
    said = f"On {scores['n']:,} test texts, each word the likeliest one."
    if scores["cut"]:
        said += (
            f" {scores['cut']:,} of {scores['of']:,} rows had a reply or thought "
            f"of more than {scores['length']} tokens, the rest of which was cut."
        )
    st.caption(said)
    with st.expander("Written and true replies"):
        frame = read(run, "replies").merge(
            read(run, "corpus")["text"], left_on="row", right_index=True
        )
        st.dataframe(
            frame[["text", *frame.columns.drop(["row", "text"])]], hide_index=True
        )
