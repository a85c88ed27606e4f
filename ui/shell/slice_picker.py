"""The slice of texts in the context, shown as chips that remove its conditions."""

from collections.abc import Callable, Sequence

import streamlit as st

from stc_core.analysis.slices import Part, Slice
from ui.shell.messages import escape
from ui.state.navigation import context, remember
from ui.state.stale_events import set_widget, unless_stale


def held_slice() -> Slice:
    """The slice of the context; if the context has none, the slice of all texts."""
    return Slice.parse(context().slice)


def slice_chips(*, without: str | None = None) -> None:
    """Draw a chip for each condition of the slice; a click on it removes the condition.

    If the slice has no condition, a disabled chip says `without`, so that nothing below
    moves when a condition is added.
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
                help="Remove this condition",
                on_click=_drop,
                args=(part,),
            )


def pick_part(
    name: str, label: str, options: Sequence[str], *, widget: Callable, **settings
) -> None:
    """Draw a choice for the part `name` of the slice; no choice removes the part."""
    key = f"slice_{name}"
    value = held_slice().value(name)
    set_widget(key, value if value in options else None)

    def write(value: str | None) -> None:
        remember(slice=held_slice().moved(**{name: value}).text)

    on_change = unless_stale(key, write)
    widget(label, options, key=key, index=None, on_change=on_change, **settings)


def type_words(label: str, *, widget: Callable, **settings) -> None:
    """Draw a field for words that the texts of the slice must contain."""
    set_widget("slice_query", held_slice().value("query") or "")

    def write(typed: str) -> None:
        remember(slice=held_slice().moved(query=typed.strip() or None).text)

    widget(
        label,
        key="slice_query",
        on_change=unless_stale("slice_query", write),
        **settings,
    )


def _drop(part: Part) -> None:
    remember(slice=held_slice().without(part).text)
