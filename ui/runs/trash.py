"""The buttons that delete a run and bring it back, and the trash."""

import time

import streamlit as st

from stc_core.display import count, distinct_titles, size
from stc_core.paths import trash_folder
from stc_core.runs import trash
from stc_core.runs.run import Run
from ui.cache.neuron_values import close_activations
from ui.shell.messages import escape
from ui.state.navigation import remember

_GONE = "_gone"


def delete_button(run: Run) -> None:
    """Draw the button that deletes `run`; the page then offers to undo it.

    If other runs read the model tuned by `run`, the button asks first.
    """
    needed = trash.needed_by(run)
    if not needed:
        if st.button("Delete", icon=":material/delete:"):
            _delete(run)
        return
    with st.popover("Delete", icon=":material/delete:"):
        names = ", ".join(escape(other.name) for other in needed)
        st.markdown(f"Other runs read the model that this run tuned: **{names}**.")
        if st.button("Delete anyway", key="delete_needed"):
            _delete(run)


def _delete(run: Run) -> None:
    close_activations()
    gone = trash.delete(run)
    st.session_state[_GONE] = gone
    remember(run=None)
    st.rerun()


def undo_delete() -> None:
    """Show the run that was deleted last, with a button that brings it back."""
    gone: trash.Deleted | None = st.session_state.get(_GONE)
    if gone is None or not (trash_folder() / gone.key).is_dir():
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        message = f"**{escape(gone.name)}** is in the trash, {size(gone.n_bytes)}."
        st.markdown(f":material/delete: {message}", width="content")
        if st.button("Undo", icon=":material/undo:", type="primary"):
            _bring_back(gone.key)


def _bring_back(key: str) -> None:
    st.session_state.pop(_GONE, None)
    folder = trash.restore(key)
    remember(run=folder.name)
    st.rerun()


def trash_can() -> None:
    """Show the deleted runs, which can be brought back or removed for good."""
    deleted = {run.key: run for run in trash.list_trash()}
    if not deleted:
        return
    freed = size(sum(run.n_bytes for run in deleted.values()))
    with st.expander(f"Trash · {len(deleted)} · {freed}", icon=":material/delete:"):
        st.caption(f"Runs are removed for good after {trash.KEPT_DAYS} days.")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            titles = distinct_titles(
                {key: _described(run) for key, run in deleted.items()}
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
                st.markdown(
                    f"{count(len(deleted), 'run')} ({freed}) will be removed for good."
                )
                if st.button("Empty it now", key="empty"):
                    trash.empty_trash()
                    st.session_state.pop(_GONE, None)
                    st.rerun()


def _described(gone: trash.Deleted) -> str:
    """Name, size and time of a deleted run.

    The title never changes: a select box whose titles change forgets its choice.
    """
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(gone.at))
    return f"{gone.name} · {size(gone.n_bytes)} · {when}"
