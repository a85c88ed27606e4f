"""The pinned text beside the current one, and the parts that differ most."""

from typing import Any

import pandas as pd
import streamlit as st

from stc_core.analysis.examples import FINAL
from stc_core.display import formatted, percent
from stc_core.figures.token_heatmap import coloured, legend
from stc_core.interpret.explanation import token_parts, words
from stc_core.interpret.text_diff import neuron_changes, probability_changes
from stc_core.runs.run import Run
from ui.cache.neuron_values import address_of
from ui.cache.run_files import examples, explain_text
from ui.cache.texts import texts_of
from ui.examples.explanation import explained_class
from ui.shell.messages import escape
from ui.shell.page_list import NEURONS
from ui.state.navigation import context, link, remember

SHARES = {
    name: st.column_config.NumberColumn(format=form)
    for name, form in (("before", "%.3f"), ("after", "%.3f"), ("change", "%+.3f"))
}


ONE_HEAD = (
    ":material/info: Both texts are read by the classifier made without **this** text. "
    "It may have learned the pinned one."
)


def show_logit_changes(
    run: Run, before: dict[str, Any], after: dict[str, Any], label: str
) -> None:
    """Show the parts that changed the logit of `label` most, and links to neurons."""
    change = after["logits"][label] - before["logits"][label]
    st.markdown(
        f"**Logit of {escape(label)}** {formatted(change, '+.2f')}, mainly from"
    )
    changes = neuron_changes(before, after, label)
    st.dataframe(
        changes.loc[:, ["name", "change"]],
        hide_index=True,
        column_config={"change": SHARES["change"]},
        alt="The parts that changed the logit most",
    )
    neurons = [row for row in changes.to_dict("records") if not pd.isna(row["neuron"])]
    if neurons:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("Look at", width="content")
            for row in neurons[:3]:
                link(
                    NEURONS,
                    str(row["name"]),
                    neuron=address_of(run, int(row["neuron"])),
                )


def pin_button(run: Run, example: int) -> None:
    """Draw the buttons that pin the current text and unpin the pinned text."""
    pinned = context().pinned
    if pinned is not None:
        st.button(
            f"Unpin {texts_of(run).place(pinned)}",
            icon=":material/keep_off:",
            type="tertiary",
            on_click=lambda: remember(pinned=None),
        )
    if pinned != example:
        st.button(
            "Pin to compare",
            icon=":material/keep:",
            type="tertiary",
            on_click=lambda: remember(pinned=example),
        )
    else:
        st.caption("Pinned. Now pick another text to see both side by side.")


def show_pinned(run: Run, explanation: dict[str, Any], text: str) -> None:
    """Show the pinned text and this one side by side, for the same class."""
    pinned, table = context().pinned, examples(run)
    if pinned is None or pinned >= len(table) or table["text"].iloc[pinned] == text:
        return
    first, label = str(table["text"].iloc[pinned]), explained_class(explanation)
    fold = explanation["fold"]
    before = explain_text(run, first, fold)
    both = {
        f"Pinned: {texts_of(run).place(pinned)}": (first, before),
        "This text": (text, explanation),
    }
    with st.container(border=True):
        _texts_side_by_side(both, label)
        if fold != FINAL:
            st.caption(ONE_HEAD)
        probabilities, parts = st.columns(2, gap="large")
        with probabilities:
            st.markdown("**Probability**")
            frame = probability_changes(before, explanation)
            st.dataframe(
                frame.rename(columns={"before": "pinned", "after": "this"}),
                hide_index=True,
                column_config={
                    "pinned": SHARES["before"],
                    "this": SHARES["after"],
                    "change": SHARES["change"],
                },
                alt="Class probabilities of the two texts",
            )
        with parts:
            show_logit_changes(run, before, explanation, label)


def _texts_side_by_side(
    both: dict[str, tuple[str, dict[str, Any]]], label: str
) -> None:
    """Draw each text with its words coloured for the class `label`, on one scale.

    `both` maps a title to a text and its explanation.
    """
    parts = {
        title: words(text, token_parts(explanation, label))
        for title, (text, explanation) in both.items()
    }
    values = [abs(word.value) for of_text in parts.values() for word in of_text]
    scale = max(values, default=0.0)
    columns = st.columns(2, gap="large")
    for column, (title, (text, explanation)) in zip(columns, both.items(), strict=True):
        predicted, shares = explanation["label"], explanation["probabilities"]
        with column:
            st.markdown(
                f"**{title}** · predicted **{escape(predicted)}** "
                f"({percent(shares[predicted])}), {escape(label)} "
                f"{percent(shares[label])}"
            )
            st.html(
                coloured(
                    text,
                    parts[title],
                    palette="diverging",
                    scale=scale,
                    gamma=st.session_state.get("gamma", 1.0),
                    unit=f"to {label}",
                )
            )
    st.html(legend("diverging", scale=scale, low="against", high=f"for {label}"))
