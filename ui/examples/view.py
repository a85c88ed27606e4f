"""The page Examples, below its title."""

import streamlit as st

from stc_core.runs.layout import RunFile
from ui.cache.run_files import explain_text
from ui.examples.browse import (
    TABLE,
    choose_source,
    choose_texts,
    picked_row,
    show_listing,
    type_own_text,
)
from ui.examples.explanation import draw_gradients, draw_parts, draw_words
from ui.examples.head_choice import choose_head, say_whose_answer
from ui.examples.pinned import show_pinned
from ui.examples.what_if import show_what_if
from ui.shell.frame import pick_run


def show_page() -> None:
    """Draw the page below its title."""
    run = pick_run()
    has_texts = run.has(RunFile.CORPUS)
    row = st.container(horizontal=True, vertical_alignment="center", gap="small")
    is_own = not has_texts or choose_source(row) != TABLE
    passing = None if is_own else choose_texts(run, row)
    left, right = st.columns([1, 1], gap="medium")
    with left:
        if passing is not None:
            show_listing(run, passing)
        else:
            chosen = type_own_text()
    with right:
        if passing is not None:
            chosen = picked_row(run, passing["example"].tolist())
        if chosen is None:
            return
        text, fold = chosen.text, choose_head(chosen)
        explanation = explain_text(run, text, fold)
        say_whose_answer(chosen, explanation)
        draw_words(run, explanation, text)
    draw_parts(run, explanation, chosen.label)
    draw_gradients(run, explanation, text)
    if has_texts:
        show_pinned(run, explanation, text)
    show_what_if(run, explanation, text)
