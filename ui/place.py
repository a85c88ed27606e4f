"""The context in the session and in the URL, and the widgets and links that move it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from stc_core.context import Context, query_key

_CONTEXT = "_context"


def context() -> Context:
    """What is being looked at now; `frame` must have run."""
    return st.session_state.get(_CONTEXT, Context())


def remember(**changes: Any) -> None:
    """Move the context, in the session and in the URL.

    Call it from a callback, or call st.rerun() after it: the links already drawn
    carry the old context.
    """
    hold(context().moved(**changes))


def hold(held: Context) -> None:
    st.session_state[_CONTEXT] = held
    wanted = held.params()
    for name in Context._fields:
        key = query_key(name)
        if key in wanted:
            if st.query_params.get(key) != wanted[key]:
                st.query_params[key] = wanted[key]
        elif key in st.query_params:
            del st.query_params[key]


def link(page: str, label: str, *, icon: str | None = None, **changes: Any) -> None:
    """A link to `page` that takes the context along, after `changes`."""
    params = context().moved(**changes).params()
    st.page_link(page, label=label, icon=icon, query_params=params)


def go(page: str, **changes: Any) -> None:
    """Switch to `page` with the context after `changes`."""
    remember(**changes)
    st.switch_page(page, query_params=context().params())


def pick(
    field: str,
    label: str,
    options: Sequence[Any],
    *,
    widget: Callable[..., Any] = st.selectbox,
    default: Any = None,
    optional: bool = False,
    **settings: Any,
) -> Any:
    """The option that the context holds in `field`, as a widget that writes it back.

    What the context holds wins on every run, so a click elsewhere moves the widget
    too; a value that is not among `options` shows `default` or the first one, or
    nothing where the choice is `optional`.
    """
    key = f"pick_{field}"
    held = getattr(context(), field)
    first = options[0] if default is None and not optional else default
    st.session_state[key] = held if held in options else first

    def write() -> None:
        # A browser that still shows an older title sends that: no option at all.
        value = st.session_state[key]
        if value in options or (value is None and optional):
            remember(**{field: value})

    widget(label, options, key=key, on_change=write, **settings)
    return st.session_state[key]


def clicked(
    key: str, turn: Callable[[Context, Mapping[str, Any]], Context]
) -> Callable[[], None]:
    """An `on_select` for the chart or table `key`: `turn` moves the context."""

    def move() -> None:
        hold(turn(context(), st.session_state[key]))

    return move
