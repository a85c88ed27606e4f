"""Measurements on a page: how far they are, and how to end them."""

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from stc_core.errors import StcError
from stc_core.types import Progress
from ui.cache.effects import NamedProgress
from ui.shell.messages import show_error

_Result = TypeVar("_Result")
_CANCEL_HELP = "So does any other click on the page. Nothing of it is kept."


def measured(work: Callable[[NamedProgress], _Result]) -> _Result | None:
    """What `work` returns, with a bar for its progress and a button that ends it.

    The bar says which part of the work it is about.

    The button needs no answer: Streamlit ends a script that draws when something is
    clicked, and runs the page anew. None after a StcError, which is shown.
    """
    place = st.empty()
    with place.container():
        bar = st.progress(0.0, text="Reading what is usual …")
        st.button("Cancel", icon=":material/close:", help=_CANCEL_HELP)

    def stage(name: str) -> Progress:
        def progress(done: int, total: int) -> None:
            bar.progress(done / max(total, 1), text=f"{name} {done:,} of {total:,}")

        return progress

    try:
        found = work(stage)
    except StcError as error:
        place.empty()
        show_error(error)
        return None
    place.empty()
    return found
