"""A text that is typed on a page: the context and its URL hold it, so links do, too."""

import streamlit as st

from stc_core.context import MOST_TYPED
from ui.place import context, remember
from ui.stale import show

_KEY = "own_text"


def type_text(*, height: int | None = None) -> str:
    """A field for the text, filled with the one of the context; part of a form."""
    show(_KEY, context().text or "")
    return st.text_area(
        "Your text",
        key=_KEY,
        height=height,
        placeholder="Type a sentence, then see how each word counts.",
    ).strip()


def submit_text(label: str, *, icon: str) -> None:
    """The button of that form: the context then holds the text."""
    st.form_submit_button(
        label,
        type="primary",
        icon=icon,
        on_click=lambda: remember(text=st.session_state[_KEY].strip()),
    )


def say_if_long(text: str) -> None:
    """A text that is too long for a link, which a copied one therefore lacks."""
    if len(text) > MOST_TYPED:
        st.caption(
            f":material/link_off: A link to this view leaves the text out: it has "
            f"{len(text):,} characters, a link at most {MOST_TYPED:,}."
        )
