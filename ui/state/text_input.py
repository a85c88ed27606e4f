"""A text that is typed on a page: the context and its URL hold it, so links do, too."""

import streamlit as st

from ui.state.context import MOST_TYPED, fits
from ui.state.navigation import context, remember
from ui.state.stale_events import show

_KEY = "own_text"
_SHOWN = "_own_text"


def type_text(placeholder: str, *, height: int | None = None) -> str:
    """A field for the text, filled with the one of the context; part of a form.

    What is typed and not sent yet stays, whatever else the page does.
    """
    held = context().text or ""
    if _KEY not in st.session_state or st.session_state.get(_SHOWN) != held:
        show(_KEY, held)
        st.session_state[_SHOWN] = held
    return st.text_area(
        "Your text", key=_KEY, height=height, placeholder=placeholder
    ).strip()


def last_typed() -> str:
    """The text that was explained last in this session; empty if none was."""
    return st.session_state.get(_SHOWN, "")


def submit_text(label: str, *, icon: str, without: str | None) -> None:
    """The button of that form: the context then holds the text, else `without`."""
    st.form_submit_button(
        label,
        type="primary",
        icon=icon,
        on_click=lambda: remember(text=st.session_state[_KEY].strip() or without),
    )


def say_if_long(text: str) -> None:
    """A text that is too long for a link, which a copied one therefore lacks."""
    if not fits(text):
        st.caption(
            ":material/link_off: This text is too long for a link: one to this view "
            f"leaves it out. About {MOST_TYPED:,} Latin letters fit."
        )
