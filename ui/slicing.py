"""The slice that the context holds, as chips that can be taken away."""

import streamlit as st

from stc_core.slices import Part, Slice
from ui.place import context, remember
from ui.said import escape


def held_slice() -> Slice:
    """The slice of the context; without one, that of all texts."""
    return Slice.parse(context().slice)


def slice_chips() -> None:
    """A chip for each part of the slice, which goes away when it is clicked."""
    held = held_slice()
    if not held.parts:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption("Only texts that are:", width="content")
        for part in held.parts:
            st.button(
                escape(part.sentence),
                icon=":material/close:",
                key=f"chip_{part.name}={part.value}",
                help="Take this condition away",
                on_click=_drop,
                args=(part,),
            )


def _drop(part: Part) -> None:
    remember(slice=held_slice().without(part).text)
