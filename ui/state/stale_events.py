"""Outdated events of the browser, which must not change the context.

A click or a timer sends the URL and the value of every widget as the browser shows
them. If it is sent before the browser has drawn the last change, these values are old
and would undo that change: the second of two quick clicks would undo the first.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import streamlit as st

STALE_S = 0.5
"""How long after the server has drawn a page an old value may still arrive. No user
chooses the value that was just replaced again so soon."""
UNDRAWN_S = 3.0
"""How long after a change an old value may still arrive while the page is drawn."""
_REPLACED = "_replaced"


@dataclass
class _Old:
    """A replaced value, and when it was replaced and the new one drawn, in seconds.

    `done` is true once a later page has begun: `note_drawn` then stays as it is.
    """

    value: Any
    moved: float
    drawn: float | None = None
    done: bool = False

    def may_come(self) -> bool:
        now = time.monotonic()
        if self.drawn is None:
            return now - self.moved < UNDRAWN_S
        return now - self.drawn < STALE_S


def note_replaced(key: str, value: Any) -> None:
    """Remember that `key` had `value` until now; the browser may still send it.

    `key` names a widget or the URL.
    """
    replaced = st.session_state.setdefault(_REPLACED, {})
    olds = replaced.get(key, ())
    kept = [old for old in olds if old.may_come() and old.value != value]
    replaced[key] = [*kept, _Old(value, time.monotonic())]


def is_stale(key: str, value: Any) -> bool:
    """True if the browser may have sent `value` before it showed the last change.

    `key` names the widget or the URL that has the value.
    """
    olds = st.session_state.get(_REPLACED, {}).get(key, ())
    return any(old.value == value and old.may_come() for old in olds)


def set_widget(key: str, value: Any) -> None:
    """Set the widget `key` to `value`, whatever the browser shows."""
    if key in st.session_state:
        before = _plain(st.session_state[key])
        if before != _plain(value):
            note_replaced(key, before)
    st.session_state[key] = value


def unless_stale(key: str, take: Callable[[Any], None]) -> Callable[[], None]:
    """A callback for the widget `key` that passes its value to `take`.

    It does nothing if the value is outdated (`is_stale`).
    """

    def call() -> None:
        value = st.session_state[key]
        if not is_stale(key, _plain(value)):
            take(value)

    return call


def _plain(value: Any) -> Any:
    """The picked rows if `value` is the selection of a table; else `value` itself."""
    return value["selection"].get("rows") if isinstance(value, Mapping) else value


def begin_page() -> None:
    """Note that a new page begins: the times of earlier changes stay as they are."""
    for old in _all_replaced():
        old.done = old.drawn is not None


def note_drawn() -> None:
    """Note that a part of the page is drawn; the last part counts."""
    for old in _all_replaced():
        old.drawn = old.drawn if old.done else time.monotonic()


def _all_replaced() -> Iterator[_Old]:
    return chain.from_iterable(st.session_state.get(_REPLACED, {}).values())
