"""What if: edit the text, flip its label, see similar texts, or change neurons."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from stc_core.display import percent
from stc_core.figures.text_lists import ClassRow, TextRow, class_list, edited, text_list
from stc_core.interpret.counterfactuals import (
    MOST_FORWARDS,
    Change,
    CounterfactualSearch,
)
from stc_core.interpret.nearest_texts import nearest
from stc_core.interpret.text_diff import DiffPiece, probability_changes, word_changes
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from ui.cache.neuron_values import distances_of, flips, has_readout
from ui.cache.run_files import explain_text
from ui.cache.texts import texts_of
from ui.examples.explanation import explained_class
from ui.examples.neuron_change import show_neuron_change
from ui.examples.pinned import SHARES, show_logit_changes
from ui.shell.messages import escape
from ui.state.navigation import context

_EDITS = "_edits"
MOST_EDITS = 8
NEAREST = 8
_SPACE = (
    "Near texts have similar values in the kept neurons; neurons with large weights "
    "count more. {:,} training texts were searched, without this text itself."
)


def show_what_if(run: Run, explanation: dict[str, Any], text: str) -> None:
    """Draw the chosen question; the others are not computed."""
    sides: dict[str, Callable[[Run, dict[str, Any], str], None]] = {
        "Change the words": show_edits,
        "Fewest changes that flip it": show_flips,
    }
    if run.has(RunFile.CORPUS):
        sides["Nearest training texts"] = _like_it
        if has_readout(run) and "levels" not in explanation:
            sides["Change neurons"] = show_neuron_change
    st.subheader("What if", anchor=False)
    name = st.segmented_control(
        "What if",
        list(sides),
        default="Change the words",
        required=True,
        key="what_if",
        label_visibility="collapsed",
    )
    sides[name](run, explanation, text)


def kept_edits(run: Run, text: str) -> list[str]:
    """The edits of `text` in this session, newest first; the list may be changed."""
    by_text = st.session_state.setdefault(_EDITS, {})
    return by_text.setdefault((run.folder.name, text), [])


def keep_edit(run: Run, text: str, edit: str) -> None:
    """Put an edit first; the list has no duplicates and at most MOST_EDITS edits."""
    edits = kept_edits(run, text)
    if edit in edits:
        edits.remove(edit)
    edits.insert(0, edit)
    del edits[MOST_EDITS:]


def show_edits(run: Run, explanation: dict[str, Any], text: str) -> None:
    """Draw a box to edit the text, and below it each edit with its differences."""
    with st.form("edit", border=False):
        changed = st.text_area("Change it and compare", text, key=f"edit_{text}")
        sent = st.form_submit_button(
            "Compare", type="primary", icon=":material/difference:"
        )
    changed = changed.strip()
    if sent and changed and changed != text.strip():
        keep_edit(run, text, changed)
    elif sent:
        st.info("Change some words first." if changed else "Type at least one word.")
    kept = kept_edits(run, text)
    for place, edit in enumerate(kept):
        show_edit(run, explanation, text, edit, place)
    if not kept:
        st.caption("Each edit stays here until you remove it.")


def show_edit(
    run: Run, before: dict[str, Any], text: str, edit: str, place: int
) -> None:
    """Show one edit: its words, its label, and the changed probabilities and parts."""
    after = explain_text(run, edit, before["fold"])
    label = explained_class(before)
    with st.container(border=True):
        st.html(edited(word_changes(text, edit)))
        chance = percent(after["probabilities"][after["label"]])
        new_label = f"**{escape(after['label'])}** ({chance})"
        old_label = escape(before["label"])
        same = after["label"] == before["label"]
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"Still {new_label} :gray-badge[same label]"
                if same
                else f"Now {new_label}, was **{old_label}** :orange-badge[new label]",
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
                probability_changes(before, after),
                hide_index=True,
                column_config=SHARES,
                alt="Class probabilities before and after the edit",
            )
        with right:
            show_logit_changes(run, before, after, label)


def show_flips(run: Run, explanation: dict[str, Any], text: str) -> None:
    """Show the fewest words that must be left out or made blank for another label."""
    if "levels" in explanation:
        st.info(
            "This run decides level by level. The search works only for classifiers "
            "with one decision. Change words by hand instead."
        )
        return
    request = (run.folder.name, text, explanation["fold"])
    if st.button("Search", type="primary", icon=":material/swap_horiz:"):
        st.session_state["_flip"] = request
    if st.session_state.get("_flip") != request:
        st.caption(
            "Leaves out words or makes them blank, and reads each changed text. It "
            "begins with the words that count most for the label, and reads up to "
            f"{MOST_FORWARDS} texts."
        )
        return
    search = flips(run, text, explanation["fold"])
    if search.flips:
        _show_flips(run, text, search)
        return
    tried = " and ".join(_in_words(change) for change in search.tried[:3])
    st.info(
        f"No flip within {len(search.tried)} changed words and {search.forwards} "
        f"texts read. After {tried or 'no change'} **{escape(search.label)}** still "
        f"leads by {percent(search.lead)}. The search is greedy, so it may miss a flip."
    )


def _show_flips(run: Run, text: str, search: CounterfactualSearch) -> None:
    """Show the flips that were found, and the button that keeps the first one."""
    rows = [
        ClassRow(flip.label, flip.probability, edited(word_changes(text, flip.text)))
        for flip in search.flips
    ]
    st.html(class_list(rows))
    n = len(search.flips[0].changes)
    st.caption(
        f"{n} changed {'word is' if n == 1 else 'words are'} enough. The classifier "
        f"read {search.forwards} texts and confirmed each flip. The search is greedy, "
        "so with several words it may miss a smaller change."
    )
    best = search.flips[0].text
    st.button(
        "Keep the first as an edit",
        icon=":material/difference:",
        on_click=lambda: _keep_and_show(run, text, best),
    )


def _keep_and_show(run: Run, text: str, edit: str) -> None:
    keep_edit(run, text, edit)
    st.session_state["what_if"] = "Change the words"


def _in_words(change: Change) -> str:
    return f"“{escape(change.word)}” {change.how}"


def _like_it(run: Run, explanation: dict[str, Any], text: str) -> None:
    """Show the training texts that are nearest to `text` for the head."""
    if not has_readout(run):
        st.info(
            "This run does not decide by single neurons, so no distance between texts "
            "can be measured."
        )
        return
    texts, labels = texts_of(run)[:2]
    rows, distances = distances_of(run, text)
    same = [int(row) for row in rows if texts[row] == text]
    close = nearest(rows, distances, most=NEAREST, without=same)
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
    predicted = explanation["label"]
    n_same = sum(labels[row] == predicted for row in close["row"])
    st.caption(
        f"{n_same} of the {len(close)} nearest texts have the predicted label "
        f"**{escape(predicted)}**. {_SPACE.format(len(rows))}"
    )
