"""The slice that the context holds, as chips that can be taken away."""

from collections.abc import Callable, Sequence

import streamlit as st

from stc_core.analysis.slices import Part, Slice
from ui.shell.messages import escape
from ui.state.navigation import context, remember
from ui.state.stale_events import news, show


def held_slice() -> Slice:
    """The slice of the context; without one, that of all texts."""
    return Slice.parse(context().slice)


def slice_chips(*, without: str | None = None) -> None:
    """A chip for each part of the slice, which goes away when it is clicked.

    Where there is none `without` is said in their place, so that nothing below moves
    when one comes.
    """
    held = held_slice()
    if not held.parts and without is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption("Narrowed to", width="content")
        if not held.parts:
            st.button(str(without), key="no_chip", disabled=True)
        for part in held.parts:
            st.button(
                escape(part.sentence),
                icon=":material/close:",
                key=f"chip_{part.name}={part.value}",
                help="Take this condition away",
                on_click=_drop,
                args=(part,),
            )


def pick_part(
    name: str, label: str, options: Sequence[str], *, widget: Callable, **settings
) -> None:
    """A choice that is one part of the slice, and writes it there; or none."""
    key = f"slice_{name}"
    value = held_slice().value(name)
    show(key, value if value in options else None)

    def write(value: str | None) -> None:
        remember(slice=held_slice().moved(**{name: value}).text)

    write_it = news(key, write)
    widget(label, options, key=key, index=None, on_change=write_it, **settings)


def type_words(label: str, *, widget: Callable, **settings) -> None:
    """A field for words that the texts of the slice have."""
    show("slice_query", held_slice().value("query") or "")

    def write(given: str) -> None:
        remember(slice=held_slice().moved(query=given.strip() or None).text)

    widget(label, key="slice_query", on_change=news("slice_query", write), **settings)


def _drop(part: Part) -> None:
    remember(slice=held_slice().without(part).text)
