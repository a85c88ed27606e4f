"""The way back from a run to the table that it learned from."""

import streamlit as st

from stc_core.data.uploads import upload_key, write_choice
from stc_core.errors import StcError
from stc_core.runs.run import Run
from ui.shell.page_list import TRAIN
from ui.state.navigation import go


def reuse(run: Run, label: str, *, icon: str, page: str = TRAIN) -> None:
    """A button to `page` with the table and the columns of `run`.

    There is none where the table was not given to the app or is gone, nor of a run
    whose settings cannot be read, as other pages say.
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
