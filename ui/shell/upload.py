"""Choosing a table: an upload, or one that was uploaded before."""

import streamlit as st

from stc_core.data.uploads import Upload, delete_upload, keep_upload
from stc_core.display import distinct_titles
from stc_core.errors import StcError
from ui.cache.tables import head
from ui.shell.messages import show_error
from ui.state.navigation import context, remember
from ui.state.stale_events import news, show


def uploader(label: str, *, key: str) -> Upload | None:
    """A file uploader that copies the file to disk at once and lets go of it.

    What it returns is there for one run of the page: remember it and rerun. A file
    that cannot be read is not kept: the page says why, and shows all else.
    """
    turn = st.session_state.setdefault(f"_{key}_turn", 0)
    # Any file may be given: what is wrong with it is said here, and how to mend it.
    given = st.file_uploader(label, key=f"{key}_upload_{turn}")
    if given is None:
        return None
    kept = None
    try:
        kept = keep_upload(given.name, given)
        head(kept.path)
    except StcError as error:
        if kept is not None:
            delete_upload(kept)
        show_error(error)
        return None
    st.session_state[f"_{key}_turn"] = turn + 1
    return kept


def pick_upload(field: str, uploads: list[Upload]) -> None:
    """A choice among kept tables that is remembered in `field` of the context."""
    names = distinct_titles({one.key: one.path.name for one in uploads})
    key, held = f"earlier_{field}", getattr(context(), field)
    show(key, held if held in names else None)

    def write(value: str | None) -> None:
        if value is None or value in names:
            remember(**{field: value})

    st.selectbox(
        "Earlier uploads",
        list(names),
        index=None,
        format_func=lambda one: names[one],
        placeholder="Choose a table" if names else "None yet",
        disabled=not names,
        key=key,
        on_change=news(key, write),
    )
