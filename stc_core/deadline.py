"""A time limit for work that runs a model again and again."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from stc_core.errors import StcError

_UNTIL: ContextVar[float | None] = ContextVar("until", default=None)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Let the work in the block end after so many seconds, at the next forward pass.

    It then raises StcError. The limit is that of this thread alone.
    """
    token = _UNTIL.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _UNTIL.reset(token)


def check_time() -> None:
    """Raise StcError if the time limit around this call is over."""
    until = _UNTIL.get()
    if until is not None and time.monotonic() > until:
        raise StcError(
            "time for this text",
            expected="an answer within the time limit",
            got="work that takes longer",
            remedy="Shorten the text, or ask for less, for example without gradients.",
        )
