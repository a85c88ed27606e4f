"""A button that goes from a run back to the table that the run was trained on."""

import streamlit as st

from stc_core.data.uploads import upload_key, write_choice
from stc_core.errors import StcError
from stc_core.runs.run import Run
from ui.shell.page_list import TRAIN
from ui.state.navigation import go


def reuse_button(run: Run, label: str, *, icon: str, page: str = TRAIN) -> None:
    """Draw a button that opens `page` with the table and the columns of `run`.

    No button is drawn if the table was not uploaded in the app, if it was removed, or
    if the settings of the run cannot be read (other pages show that error).
    """
    try:
        data = run.config.data
    except StcError:
        return
    key = upload_key(data.path)
    if key is not None and st.button(label, icon=icon, key=f"reuse_{page}"):
        write_choice(key, data)
        if page == TRAIN:
            st.session_state["_train_view"] = "New run"
        go(page, data=key)
