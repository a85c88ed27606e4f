"""The context in the session and in the URL, and the widgets and links that move it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ui.state.context import Context, query_key
from ui.state.stale_events import is_stale, news, note_replaced, show

_CONTEXT = "_context"
_URL = "_url"
_TURN = "_tabs_turn"


def context() -> Context:
    """What is being looked at now; `frame` must have run."""
    return st.session_state.get(_CONTEXT, Context())


def remember(**changes: Any) -> None:
    """Move the context, in the session and in the URL.

    Call it from a callback, or call st.rerun() after it: the links already drawn
    carry the old context.
    """
    hold(context().moved(**changes))


def follow_url() -> None:
    """Move the context to what the URL says, if it is a link and not an old echo."""
    link, held = st.query_params.to_dict(), context()
    hold(held if is_stale(_URL, Context.parse(link)) else held.follow(link))
    if context() != held:
        # Of a link to the page that is open the browser keeps the old address.
        st.query_params.from_dict(st.query_params.to_dict())


def hold(held: Context) -> None:
    wanted, before = held.params(), context().params()
    if wanted != before:
        note_replaced(_URL, Context.parse(before))
    st.session_state[_CONTEXT] = held
    now = st.query_params.to_dict()
    ours = set(map(query_key, Context._fields))
    then = {key: value for key, value in now.items() if key not in ours} | wanted
    if then != now:  # at once: each message is a step of the browser's way back
        st.query_params.from_dict(then)


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
    typed: Callable[[str], Any] | None = None,
    key: str | None = None,
    **settings: Any,
) -> Any:
    """The option that the context holds in `field`, as a widget that writes it back.

    What the context holds wins on every run, so a click elsewhere moves the widget
    too; a value that is not among `options` shows `default` or the first one, or
    nothing where the choice is `optional`. With `typed` a text may be typed as well:
    it gives what that stands for, None for nothing.
    """
    key = key or f"pick_{field}"
    held = getattr(context(), field)
    first = options[0] if default is None and not optional else default
    show(key, held if held in options else first)

    def write(value: Any) -> None:
        # A browser that still shows an older title sends that: no option at all.
        if value in options or (value is None and optional):
            remember(**{field: value})
        elif typed is not None and isinstance(value, str):
            found = typed(value)
            if found is not None:
                remember(**{field: found})

    if typed is not None:
        # Else a listed option that is somewhat like it would be taken.
        settings |= {"accept_new_options": True, "filter_mode": "contains"}
    widget(label, options, key=key, on_change=news(key, write), **settings)
    return st.session_state[key]


def type_in(field: str, label: str, *, key: str, row: Any = st, **settings: Any) -> str:
    """The words that the context holds in `field`, as an input that writes them."""
    show(key, getattr(context(), field) or "")

    def write(value: str) -> None:
        remember(**{field: value.strip() or None})

    row.text_input(label, key=key, on_change=news(key, write), **settings)
    return (getattr(context(), field) or "").strip()


def tabs(field: str, names: Mapping[str, str]) -> tuple[str, DeltaGenerator]:
    """The name of the tab that is open, which the context holds, and the place in it.

    `names` gives each tab its title. What is in another tab is not to be drawn: that
    costs the browser more than all the rest of an answer to a click.
    """
    held = getattr(context(), field)
    now = held if held in names else next(iter(names))
    turn = st.session_state.setdefault(_TURN, 0)
    key = f"tabs_{field}_{turn}"
    show(key, names[now])
    called = {title: name for name, title in names.items()}

    def change() -> None:
        title = st.session_state[key]
        if is_stale(key, title):
            # The browser has it open, with nothing in it: it gets new tabs.
            st.session_state[_TURN] = turn + 1
        elif title in called:
            remember(**{field: called[title]})

    places = st.tabs(list(called), key=key, on_change=change)
    return now, dict(zip(names, places, strict=True))[now]


def clicked(
    key: str, turn: Callable[[Context, Mapping[str, Any]], Context]
) -> Callable[[], None]:
    """An `on_select` for the table `key`: `turn` moves the context."""

    return news(key, lambda event: hold(turn(context(), event)))
