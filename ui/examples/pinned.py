"""What is different about two texts: pinned ones side by side, and what moved."""

from typing import Any

import pandas as pd
import streamlit as st

from stc_core.display import percent
from stc_core.figures.token_heatmap import coloured, legend
from stc_core.interpret.explanation import token_parts, words
from stc_core.interpret.text_diff import neuron_changes, probability_changes
from stc_core.runs.run import Run
from ui.cache.run_files import examples, explained
from ui.cache.texts import texts_of
from ui.examples.explanation import explained_class
from ui.shell.messages import escape
from ui.shell.page_list import NEURONS
from ui.state.navigation import context, link, remember

SHARES = {
    name: st.column_config.NumberColumn(format=form)
    for name, form in (("before", "%.3f"), ("after", "%.3f"), ("change", "%+.3f"))
}


def moved(before: dict[str, Any], after: dict[str, Any], label: str) -> None:
    """The parts that moved the logit of `label` most, and links to their neurons."""
    change = after["logits"][label] - before["logits"][label]
    st.markdown(f"**Logit of {escape(label)}** {change:+.2f}, most by")
    found = neuron_changes(before, after, label)
    st.dataframe(
        found.loc[:, ["name", "change"]],
        hide_index=True,
        column_config={"change": SHARES["change"]},
        alt="The parts that moved the logit most",
    )
    known = [row for row in found.to_dict("records") if not pd.isna(row["neuron"])]
    if known:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("Look at", width="content")
            for row in known[:3]:
                link(NEURONS, str(row["name"]), neuron=int(row["neuron"]))


def pin_button(run: Run, example: int) -> None:
    """Pin the text that is looked at, or let go of the pinned one."""
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
        st.caption("Pinned: now pick another text to see both side by side.")


def show_pinned(run: Run, found: dict[str, Any], text: str) -> None:
    """The pinned text and this one side by side, for the same class."""
    pinned, table = context().pinned, examples(run)
    if pinned is None or pinned >= len(table) or table["text"].iloc[pinned] == text:
        return
    first, label = str(table["text"].iloc[pinned]), explained_class(found)
    before = explained(run, first)
    both = {
        f"Pinned: {texts_of(run).place(pinned)}": (first, before),
        "This text": (text, found),
    }
    parts = {
        name: words(one, token_parts(why, label)) for name, (one, why) in both.items()
    }
    scale = max(
        (abs(one.value) for some in parts.values() for one in some), default=0.0
    )
    with st.container(border=True):
        columns = st.columns(2, gap="large")
        for column, (name, (one, why)) in zip(columns, both.items(), strict=True):
            with column:
                said, chance = escape(why["label"]), why["probabilities"]
                st.markdown(
                    f"**{name}** · predicted **{said}** "
                    f"({percent(chance[why['label']])}), {escape(label)} "
                    f"{percent(chance[label])}"
                )
                st.html(
                    coloured(
                        one,
                        parts[name],
                        palette="diverging",
                        scale=scale,
                        gamma=st.session_state.get("gamma", 1.0),
                        unit=f"to {label}",
                    )
                )
        st.html(legend("diverging", scale=scale, low="against", high=f"for {label}"))
        shares, parts_moved = st.columns(2, gap="large")
        with shares:
            st.markdown("**Probability**")
            frame = probability_changes(before, found)
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
        with parts_moved:
            moved(before, found, label)
