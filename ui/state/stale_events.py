"""What a browser may still say of before the last move, and that is no news.

A click, or a timer, sends the URL and the value of every widget as the browser shows
them. If it comes before the page that the last click asked for is drawn, these are the
old ones, and they would move the context back: of two quick clicks one undid the other.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import streamlit as st

STALE_S = 0.5
"""How long after a page is drawn its browser may not show it yet. Nobody chooses the
very thing that has just gone away so soon."""
UNDRAWN_S = 3.0
"""The same after the move, of a page that is still being drawn."""
_REPLACED = "_replaced"


@dataclass
class _Old:
    """A value whose place another one took; when that was drawn, and if for good."""

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
    """Note that `key`, a widget or the URL, had `value`, which the browser may send."""
    every = st.session_state.setdefault(_REPLACED, {})
    kept = [old for old in every.get(key, ()) if old.may_come() and old.value != value]
    every[key] = [*kept, _Old(value, time.monotonic())]


def is_stale(key: str, value: Any) -> bool:
    """True if `value` is what the browser showed before the last move of `key`."""
    olds = st.session_state.get(_REPLACED, {}).get(key, ())
    return any(old.value == value and old.may_come() for old in olds)


def show(key: str, value: Any) -> None:
    """Make `value` that of the widget `key`, whatever the browser shows."""
    if key in st.session_state:
        before = _plain(st.session_state[key])
        if before != _plain(value):
            note_replaced(key, before)
    st.session_state[key] = value


def news(key: str, take: Callable[[Any], None]) -> Callable[[], None]:
    """A callback of the widget `key` that gives `take` its value, if that is news."""

    def call() -> None:
        value = st.session_state[key]
        if not is_stale(key, _plain(value)):
            take(value)

    return call


def _plain(value: Any) -> Any:
    """The rows of a table that are picked; another value as it is."""
    return value["selection"].get("rows") if isinstance(value, Mapping) else value


def begin() -> None:
    """A page is drawn from its top: what earlier ones replaced is done with."""
    for old in _every():
        old.done = old.drawn is not None


def drawn() -> None:
    """A part of the page is drawn; the last one counts."""
    for old in _every():
        old.drawn = old.drawn if old.done else time.monotonic()


def _every() -> Iterator[_Old]:
    return chain.from_iterable(st.session_state.get(_REPLACED, {}).values())
