"""The choice of a table: a new upload or an earlier one."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from stc_core.data.table import read_table
from stc_core.data.uploads import SAMPLE, Upload, delete_upload, keep_upload
from stc_core.display import distinct_titles
from stc_core.errors import StcError
from ui.cache.tables import head
from ui.shell.messages import escape, show_error
from ui.state.navigation import context, remember
from ui.state.stale_events import note_drawn, set_widget, unless_stale


def uploader(label: str, *, key: str) -> Upload | None:
    """The file that was just uploaded, copied to disk; None if there is none.

    The upload is returned once: remember its key and rerun the page. A file that cannot
    be read is not kept: the page shows the error and goes on.
    """
    turn = st.session_state.setdefault(f"_{key}_turn", 0)
    # Any type of file is accepted, so that the error below can say how to mend it.
    uploaded = st.file_uploader(label, key=f"{key}_upload_{turn}")
    if uploaded is None:
        return None
    kept = None
    try:
        kept = keep_upload(uploaded.name, uploaded)
        head(kept.path)
    except StcError as error:
        if kept is not None:
            delete_upload(kept)
        show_error(error)
        return None
    st.session_state[f"_{key}_turn"] = turn + 1
    return kept


@contextmanager
def unreadable_forgotten(table: Upload, encoding: str | None) -> Iterator[None]:
    """Inside the block, a table that cannot be read is deleted and no longer chosen.

    The first rows may be fine and a later one not. Errors of other kinds are raised: a
    column that is missing, or an encoding that the user has chosen.
    """
    try:
        yield
    except StcError as error:
        fault = None if table.key == SAMPLE or encoding else _reading_fault(table)
        if fault is None:
            raise
        delete_upload(table)
        remember(data=None)
        show_error(fault)
        st.info(f"{escape(table.path.name)} is not kept.", icon=":material/delete:")
        note_drawn()
        st.stop()
        raise AssertionError("st.stop ends the page") from error


def _reading_fault(table: Upload) -> StcError | None:
    try:
        read_table(table.path)
    except StcError as error:
        return error
    return None


def pick_upload(field: str, uploads: list[Upload]) -> None:
    """Draw a choice among earlier uploads; the context remembers it in `field`."""
    names = distinct_titles({upload.key: upload.path.name for upload in uploads})
    key, held = f"earlier_{field}", getattr(context(), field)
    set_widget(key, held if held in names else None)

    def write(value: str | None) -> None:
        # In a closed popover the browser still has what was chosen before it was drawn:
        # nothing. That must not put the present table away.
        if value in names:
            remember(**{field: value})

    st.selectbox(
        "Earlier uploads",
        list(names),
        index=None,
        format_func=lambda upload_key: names[upload_key],
        placeholder="Choose a table" if names else "None yet",
        disabled=not names,
        key=key,
        on_change=unless_stale(key, write),
    )
