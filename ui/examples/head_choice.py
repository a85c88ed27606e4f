"""Which head explains a text of the run: that which predicted it, or the final one."""

from typing import Any

import streamlit as st

from stc_core.analysis.examples import FINAL, judge_line
from stc_core.display import percent
from ui.examples.browse import PickedText
from ui.shell.messages import escape
from ui.state.navigation import context

OWN_HEAD, FINAL_HEAD = "Made without this text", "Final classifier"


def choose_head(picked: PickedText) -> int:
    """The fold of the head to explain a text by: that which predicted it.

    For a text that was held out, draw the choice of the final head instead.
    """
    if picked.fold == FINAL:
        return FINAL
    chosen = st.segmented_control(
        "Explained by",
        [picked.fold, FINAL],
        default=picked.fold,
        required=True,
        format_func=lambda fold: FINAL_HEAD if fold == FINAL else OWN_HEAD,
        key=f"head_{context().example}",
        label_visibility="collapsed",
    )
    return int(chosen)


def say_whose_answer(picked: PickedText, explanation: dict[str, Any]) -> None:
    """Say by which head a text of the run is explained, and what that head has seen.

    If it is not the head that predicted the text, its own answer is told.
    """
    if picked.split is None:
        return
    label, fold = explanation["label"], explanation["fold"]
    answer = f"**{escape(label)}** ({percent(explanation['probabilities'][label])})"
    if "judged_by" in explanation:
        said = f"{explanation['judged_by']} It says {answer}."
    elif picked.held and fold == FINAL:
        said = (
            "The prediction above is that of a classifier made **without** this text. "
            f"The final one, explained below, has learned from it and says {answer}."
        )
    elif fold != FINAL:
        said = (
            "Prediction and explanation are those of a classifier made **without** "
            f"this text. It says {answer}."
        )
    else:
        said = judge_line(picked.split, fold=fold, held=False) + f" It says {answer}."
    st.caption(f":material/info: {said}")
