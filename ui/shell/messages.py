"""Words of users shown as they are, and errors said so that they can be mended."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from stc_core.errors import StcError
from ui.state.stale_events import drawn

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~$:])")


def escape(text: str) -> str:
    """`text` as Markdown that shows it letter for letter, on one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def escape_piece(text: str) -> str:
    """The same of a piece of a text, whose spaces stay."""
    return _MARKDOWN.sub(r"\\\1", text.replace("\n", " "))


@contextmanager
def guard() -> Iterator[None]:
    """Turn a StcError into a message and stop the page; all else fails loudly.

    All that a page draws is in one; when it ends, and not by the next click, the
    browser has it to show.
    """
    try:
        yield
    except StcError as error:
        show_error(error)
        drawn()
        st.stop()
    drawn()


def show_error(error: StcError) -> None:
    """Say what is wrong, what was expected, and how to mend it."""
    lines = [f"**{escape(error.where)}**"]
    if error.expected:
        lines.append(f"Expected: {escape(error.expected)}")
    if error.got:
        lines.append(f"Got: {escape(error.got)}")
    if error.remedy:
        lines.append(escape(error.remedy))
    st.error("  \n".join(lines), icon=":material/error:")
