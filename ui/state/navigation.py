"""The context in the session and the URL, and the widgets and links that change it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ui.state.context import Context, query_key
from ui.state.stale_events import is_stale, note_replaced, set_widget, unless_stale

_CONTEXT = "_context"
_URL = "_url"
_TURN = "_tabs_turn"


def context() -> Context:
    """The current context; `frame` must have run before."""
    return st.session_state.get(_CONTEXT, Context())


def remember(**changes: Any) -> None:
    """Change the context, in the session and in the URL.

    Call it from a callback, or call st.rerun() after it, because the links that are
    already drawn carry the old context.
    """
    set_context(context().moved(**changes))


def follow_url() -> None:
    """Change the context to what the URL says, unless the URL is outdated.

    The URL is outdated if the browser sent it before it drew the last change.
    """
    link, before = st.query_params.to_dict(), context()
    set_context(before if is_stale(_URL, Context.parse(link)) else before.follow(link))
    if context() != before:
        # After a link to the page that is already open, the browser keeps the old URL.
        st.query_params.from_dict(st.query_params.to_dict())


def set_context(new: Context) -> None:
    """Make `new` the context, in the session and in the URL."""
    wanted, before = new.params(), context().params()
    if wanted != before:
        note_replaced(_URL, Context.parse(before))
    st.session_state[_CONTEXT] = new
    query = st.query_params.to_dict()
    ours = set(map(query_key, Context._fields))
    new_query = {key: text for key, text in query.items() if key not in ours} | wanted
    if new_query != query:  # in one call: each call adds a step to the browser history
        st.query_params.from_dict(new_query)


def link(
    page: str,
    label: str,
    *,
    icon: str | None = None,
    closed: str | None = None,
    **changes: Any,
) -> None:
    """Draw a link to `page` that carries the context after `changes`.

    With `closed` the link is grey and leads nowhere, and `closed` says why.
    """
    params = context().moved(**changes).params()
    grey = closed is not None
    st.page_link(
        page, label=label, icon=icon, query_params=params, help=closed, disabled=grey
    )


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
    clears: Sequence[str] = (),
    typed: Callable[[str], Any] | None = None,
    key: str | None = None,
    **settings: Any,
) -> Any:
    """Draw a widget for `field` of the context; return the option that it shows.

    The context always wins, so a click elsewhere changes the widget, too. If the value
    of the context is not among `options`, the widget shows `default` or the first
    option, or nothing if the choice is `optional`. A choice also empties the fields
    that it `clears`. With `typed` the user may also type
    a text; `typed` turns the text into a value, or into None if it has no meaning.
    """
    key = key or f"pick_{field}"
    current = getattr(context(), field)
    first = options[0] if default is None and not optional else default
    set_widget(key, current if current in options else first)

    def write(value: Any) -> None:
        # A browser that still shows an older title sends it: that is not an option.
        if value in options or (value is None and optional):
            remember(**{**dict.fromkeys(clears), field: value})
        elif typed is not None and isinstance(value, str):
            meant = typed(value)
            if meant is not None:
                remember(**{field: meant})

    if typed is not None:
        # The default filter would take a listed option that only resembles the text.
        settings |= {"accept_new_options": True, "filter_mode": "contains"}
    widget(label, options, key=key, on_change=unless_stale(key, write), **settings)
    return st.session_state[key]


def type_in(field: str, label: str, *, key: str, row: Any = st, **settings: Any) -> str:
    """Draw a text input for `field` of the context; return the words of that field."""
    set_widget(key, getattr(context(), field) or "")

    def write(value: str) -> None:
        remember(**{field: value.strip() or None})

    row.text_input(label, key=key, on_change=unless_stale(key, write), **settings)
    return (getattr(context(), field) or "").strip()


def tabs(field: str, names: Mapping[str, str]) -> tuple[str, DeltaGenerator]:
    """Draw tabs; return the name of the open tab and the container inside it.

    The context holds the open tab in `field`, and `names` maps each name to its title.
    Draw only the open tab: drawing the others would take the browser longer than the
    rest of the page.
    """
    current = getattr(context(), field)
    open_tab = current if current in names else next(iter(names))
    turn = st.session_state.setdefault(_TURN, 0)
    key = f"tabs_{field}_{turn}"
    set_widget(key, names[open_tab])
    by_title = {title: name for name, title in names.items()}

    def change() -> None:
        title = st.session_state[key]
        if is_stale(key, title):
            # The browser shows this tab, which is empty: new tabs replace the old ones.
            st.session_state[_TURN] = turn + 1
        elif title in by_title:
            remember(**{field: by_title[title]})

    containers = st.tabs(list(by_title), key=key, on_change=change)
    return open_tab, dict(zip(names, containers, strict=True))[open_tab]


def clicked(
    key: str, turn: Callable[[Context, Mapping[str, Any]], Context]
) -> Callable[[], None]:
    """A callback for `on_select` of the table `key`; `turn` gives the new context."""
    return unless_stale(key, lambda event: set_context(turn(context(), event)))
