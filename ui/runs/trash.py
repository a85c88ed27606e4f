"""Deleting a run, and the ways back."""

import time

import streamlit as st

from stc_core.display import count, distinct_titles, size
from stc_core.runs import trash
from stc_core.runs.run import Run
from ui.cache.neuron_values import let_go
from ui.shell.messages import escape
from ui.state.navigation import remember

_GONE = "_gone"


def delete_button(run: Run) -> None:
    """Delete at once: the way back is above; what others read is asked about."""
    needed = trash.needed_by(run)
    if not needed:
        if st.button("Delete", icon=":material/delete:"):
            _delete(run)
        return
    with st.popover("Delete", icon=":material/delete:"):
        names = ", ".join(escape(one.name) for one in needed)
        st.markdown(f"The model tuned here is read by **{names}**.")
        if st.button("Delete all the same", key="delete_needed"):
            _delete(run)


def _delete(run: Run) -> None:
    let_go()
    gone = trash.delete(run)
    st.session_state[_GONE] = gone
    remember(run=None)
    st.rerun()


def undo() -> None:
    """What was deleted last, with the way back."""
    gone: trash.Deleted | None = st.session_state.get(_GONE)
    if gone is None or not (trash.trash_folder() / gone.key).is_dir():
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        said = f"**{escape(gone.name)}** is in the trash, {size(gone.n_bytes)}."
        st.markdown(f":material/delete: {said}", width="content")
        if st.button("Undo", icon=":material/undo:", type="primary"):
            _bring_back(gone.key)


def _bring_back(key: str) -> None:
    st.session_state.pop(_GONE, None)
    folder = trash.restore(key)
    remember(run=folder.name)
    st.rerun()


def trash_can() -> None:
    """What was deleted in the last days, to be brought back or removed for good."""
    held = {one.key: one for one in trash.list_trash()}
    if not held:
        return
    freed = size(sum(one.n_bytes for one in held.values()))
    with st.expander(f"Trash · {len(held)} · {freed}", icon=":material/delete:"):
        st.caption(f"What is here longer than {trash.KEPT_DAYS} days goes by itself.")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            titles = distinct_titles(
                {key: _described(one) for key, one in held.items()}
            )
            key = st.selectbox(
                "Deleted run",
                list(titles),
                format_func=lambda key: titles[key],
                key="trashed",
            )
            if st.button("Bring back", icon=":material/undo:"):
                _bring_back(key)
            with st.popover("Empty the trash", icon=":material/delete_forever:"):
                st.markdown(f"{count(len(held), 'run')}, {freed}, go for good.")
                if st.button("Empty it now", key="empty"):
                    trash.empty_trash()
                    st.session_state.pop(_GONE, None)
                    st.rerun()


def _described(gone: trash.Deleted) -> str:
    """The same at any time: a select box whose titles change forgets its choice."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(gone.at))
    return f"{gone.name} · {size(gone.n_bytes)} · {when}"
