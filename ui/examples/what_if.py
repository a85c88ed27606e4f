"""What if: a text edited, flipped by few words, beside its like or a pinned one."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from stc_core.display import percent
from stc_core.figures.text_lists import ClassRow, TextRow, class_list, edited, text_list
from stc_core.interpret.counterfactuals import MOST_FORWARDS, Change
from stc_core.interpret.nearest_texts import nearest
from stc_core.interpret.text_diff import DiffPiece, probability_changes, word_changes
from stc_core.runs.run import Run
from ui.cache.neuron_values import distances_of, flips, has_readout
from ui.cache.run_files import explained
from ui.cache.texts import texts_of
from ui.examples.explanation import explained_class
from ui.examples.pinned import SHARES, moved
from ui.shell.messages import escape
from ui.shell.widgets import apart
from ui.state.navigation import context

_EDITS = "_edits"
MOST_EDITS = 8
NEAREST = 8
_SPACE = (
    "Distance in the space of the kept neurons: each in standard deviations, times the "
    "norm of its weights (less their mean over the classes), as the head reads them. "
    "Of {:,} training texts; this text itself is left out."
)


@apart
def show_what_if(run: Run, found: dict[str, Any], text: str) -> None:
    """The question that is chosen; the others cost nothing."""
    sides: dict[str, Callable[[Run, dict[str, Any], str], None]] = {
        "Change the words": edits,
        "Fewest changes that flip it": flipped,
        "Nearest training texts": _like_it,
    }
    st.subheader("What if", anchor=False)
    name = st.segmented_control(
        "What if",
        list(sides),
        default="Change the words",
        required=True,
        key="what_if",
        label_visibility="collapsed",
    )
    sides[name](run, found, text)


def kept_edits(run: Run, text: str) -> list[str]:
    """The edits of `text` in this session, the latest first; change it in place."""
    held = st.session_state.setdefault(_EDITS, {})
    return held.setdefault((run.folder.name, text), [])


def keep_edit(run: Run, text: str, edit: str) -> None:
    """Put an edit before the others, once; of very many the oldest goes."""
    held = kept_edits(run, text)
    if edit in held:
        held.remove(edit)
    held.insert(0, edit)
    del held[MOST_EDITS:]


def edits(run: Run, found: dict[str, Any], text: str) -> None:
    """A box to edit the text in, and under it each edit with its differences."""
    with st.form("edit", border=False):
        changed = st.text_area("Change it and compare", text, key=f"edit_{text}")
        sent = st.form_submit_button(
            "Compare", type="primary", icon=":material/difference:"
        )
    changed = changed.strip()
    if sent and changed and changed != text.strip():
        keep_edit(run, text, changed)
    elif sent:
        st.info("Change some words first." if changed else "A text needs a word.")
    held = kept_edits(run, text)
    for place, edit in enumerate(held):
        child(run, found, text, edit, place)
    if not held:
        st.caption("Each edit stays here, beside the text, until it is removed.")


def child(run: Run, found: dict[str, Any], text: str, edit: str, place: int) -> None:
    """One edit: its words, its label, and what moved."""
    after, label = explained(run, edit), explained_class(found)
    with st.container(border=True):
        st.html(edited(word_changes(text, edit)))
        chance = percent(after["probabilities"][after["label"]])
        now = f"**{escape(after['label'])}** ({chance})"
        was = escape(found["label"])
        same = after["label"] == found["label"]
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"Still {now} :gray-badge[same label]"
                if same
                else f"Now {now}, was **{was}** :orange-badge[another label]",
                width="stretch",
            )
            st.button(
                "Remove",
                icon=":material/delete:",
                type="tertiary",
                key=f"remove_{place}_{edit}",
                on_click=lambda: kept_edits(run, text).remove(edit),
            )
        left, right = st.columns(2, gap="medium")
        with left:
            st.markdown("**Probability**")
            st.dataframe(
                probability_changes(found, after),
                hide_index=True,
                column_config=SHARES,
                alt="Class probabilities before and after the edit",
            )
        with right:
            moved(found, after, label)


def flipped(run: Run, found: dict[str, Any], text: str) -> None:
    """The fewest words to leave out or to make blank that give another label."""
    if "levels" in found:
        st.info(
            "This run decides level by level. The search knows classifiers with one "
            "decision only; change words by hand instead."
        )
        return
    asked = (run.folder.name, text)
    if st.button("Search", type="primary", icon=":material/swap_horiz:"):
        st.session_state["_flip"] = asked
    if st.session_state.get("_flip") != asked:
        st.caption(
            "Leaves out words, or makes them blank, those that speak most for the "
            f"label first, and reads each such text: up to {MOST_FORWARDS} of them."
        )
        return
    search = flips(run, text)
    if not search.flips:
        tried = " and ".join(_said(one) for one in search.tried[:3])
        st.info(
            f"No flip within {len(search.tried)} changed words and {search.forwards} "
            f"texts read. After {tried or 'nothing'} **{escape(search.label)}** still "
            f"leads by {percent(search.lead)}. Searching greedily may miss one."
        )
        return
    rows = [
        ClassRow(one.label, one.probability, edited(word_changes(text, one.text)))
        for one in search.flips
    ]
    st.html(class_list(rows))
    n = len(search.flips[0].changes)
    st.caption(
        f"{n} changed {'word is' if n == 1 else 'words are'} enough: found with "
        f"{search.forwards} texts read, each flip by the classifier itself. Greedy, so "
        "that with several words a smaller change may have been missed."
    )
    best = search.flips[0].text
    st.button(
        "Keep the first as an edit",
        icon=":material/difference:",
        on_click=lambda: _as_edit(run, text, best),
    )


def _as_edit(run: Run, text: str, edit: str) -> None:
    keep_edit(run, text, edit)
    st.session_state["what_if"] = "Change the words"


def _said(change: Change) -> str:
    return f"“{escape(change.word)}” {change.how}"


def _like_it(run: Run, found: dict[str, Any], text: str) -> None:
    """The training texts that the head can tell from it least."""
    if not has_readout(run):
        st.info(
            "This run has no one head on single neurons, so that there is no space of "
            "kept neurons to measure distances in."
        )
        return
    texts, labels = texts_of(run)[:2]
    rows, far = distances_of(run, text)
    same = [int(row) for row in rows if texts[row] == text]
    close = nearest(rows, far, most=NEAREST, without=same)
    if close.empty:
        st.info("There is no other training text.")
        return
    st.html(
        text_list(
            [
                TextRow(
                    value=distance,
                    label=labels[row],
                    html=edited([DiffPiece("same", texts[row])]),
                    href="Examples?"
                    + urlencode(context().moved(example=row, split=None).params()),
                )
                for row, distance in zip(close["row"], close["distance"], strict=True)
            ]
        )
    )
    alike = sum(labels[row] == found["label"] for row in close["row"])
    st.caption(
        f"{alike} of the {len(close)} nearest are labelled **{escape(found['label'])}**"
        f", as predicted. {_SPACE.format(len(rows))}"
    )
