"""A text that the user types on a page. The context and so every link hold it."""

import streamlit as st

from ui.state.context import MOST_TYPED, fits
from ui.state.navigation import context, remember
from ui.state.stale_events import set_widget

_KEY = "own_text"
_SHOWN = "_own_text"


def type_text(placeholder: str, *, height: int | None = None) -> str:
    """Draw a field with the text of the context; return the text in the field.

    It belongs inside a form. Words that are typed but not sent stay when the page is
    drawn again.
    """
    current = context().text or ""
    if _KEY not in st.session_state or st.session_state.get(_SHOWN) != current:
        set_widget(_KEY, current)
        st.session_state[_SHOWN] = current
    return st.text_area(
        "Your text", key=_KEY, height=height, placeholder=placeholder
    ).strip()


def last_text() -> str:
    """The text that was explained last in this session; empty if none was."""
    return st.session_state.get(_SHOWN, "")


def submit_text(label: str, *, icon: str, without: str | None) -> None:
    """Draw the button of the form: it puts the text into the context.

    If nothing is typed, the context gets `without`.
    """
    st.form_submit_button(
        label,
        type="primary",
        icon=icon,
        on_click=lambda: remember(text=st.session_state[_KEY].strip() or without),
    )


def say_if_long(text: str) -> None:
    """Say so if `text` is too long for a link to hold it."""
    if not fits(text):
        st.caption(
            ":material/link_off: This text is too long for a link. A link to this "
            f"view leaves it out. About {MOST_TYPED:,} Latin letters fit."
        )
