"""What the C library keeps of freed memory, and what Python goes over to free some."""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_seen = _spared = 0
"""Modules at the last call of `spare`, and when it last left something out."""


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage is collected here, nor later among all that is there at its end.

    For the imports and the model of a process that then does one thing: they make
    millions of objects and drop few, and Python went over all of them three times,
    a tenth of the time until a cold process has labelled its first text.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was:
            gc.enable()


def spare() -> None:
    """Leave all that is there out of later collections, once its modules are all there.

    For a process that collects often, as Streamlit does after each script and before
    its last message is sent: to go over what torch and pandas hold took .4 s a click.
    What of it becomes garbage later, and is in a cycle, stays until more modules come:
    then all is collected once.
    """
    global _seen, _spared
    now = len(sys.modules)
    if now == _seen != _spared:
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        _spared = now
    _seen = now


def release() -> None:
    """Give freed memory back to the system, where the C library is glibc.

    Batches of many sizes leave holes that it keeps, hundreds of MB after a corpus; what
    comes next needs larger pieces than these and would lie beside them.
    """
    if (trim := _malloc_trim()) is not None:
        trim(0)


@cache
def _malloc_trim() -> Any | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # macOS, musl; Windows has no None
        return None
