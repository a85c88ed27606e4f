"""Text of users shown exactly as typed, and errors shown with their remedy."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from stc_core.errors import StcError
from stc_core.files import machine_error
from ui.state.stale_events import note_drawn

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~$:])")


def escape(text: str) -> str:
    """`text` as Markdown that shows it letter for letter, on one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def escape_piece(text: str) -> str:
    """`text` as Markdown like `escape` gives it, but with all its spaces kept.

    It is for a piece of a text, which may begin or end with a space.
    """
    return _MARKDOWN.sub(r"\\\1", text.replace("\n", " "))


@contextmanager
def guard() -> Iterator[None]:
    """Turn a StcError into a message and stop the page; any other error is raised.

    A full disk and other errors of the machine are messages, too.

    Each page draws everything inside a guard. When the guard ends without a rerun, the
    page counts as drawn.
    """
    try:
        yield
    except (StcError, OSError) as error:
        told = error if isinstance(error, StcError) else machine_error(error)
        if told is None:
            raise
        show_error(told)
        note_drawn()
        st.stop()
    note_drawn()


def show_error(error: StcError) -> None:
    """Show what is wrong, what was expected, what was found, and how to mend it."""
    lines = [f"**{escape(error.where)}**"]
    if error.expected:
        lines.append(f"Expected: {escape(error.expected)}")
    if error.got:
        lines.append(f"Got: {escape(error.got)}")
    if error.remedy:
        lines.append(escape(error.remedy))
    st.error("  \n".join(lines), icon=":material/error:")
