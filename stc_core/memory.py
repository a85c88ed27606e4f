"""Gives freed memory back to the system, and spares Python needless collections.

Also says whether the system had to kill processes for memory.
"""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

_EVENTS = Path("/proc/vmstat")

_seen = _spared = 0
"""The number of modules at the last call of `spare_objects`, and when it last froze."""


@contextmanager
def without_collection() -> Iterator[None]:
    """Collect no garbage inside the block; afterwards leave existing objects out.

    It is for the imports and the model of a process that then does one thing. They make
    millions of objects and drop few. Python went over all of them three times, which
    took a tenth of the time until a cold process had labelled its first text.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def spare_objects() -> None:
    """Leave all existing objects out of later collections, once no more modules load.

    It is for a process that collects often, as Streamlit does after each script and
    before its last message is sent: going over the objects of torch and pandas took .4
    s per click. Objects that become garbage later, in a cycle, stay until more modules
    load; then everything is collected once.
    """
    global _seen, _spared
    n_modules = len(sys.modules)
    if n_modules == _seen != _spared:
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        _spared = n_modules
    _seen = n_modules


def release_memory() -> None:
    """Give freed memory back to the system, if the C library is glibc.

    Batches of many sizes leave holes that the library keeps, hundreds of MB after a
    corpus. Later work needs larger pieces than these holes and would take new memory.
    """
    if (trim := _malloc_trim()) is not None:
        trim(0)


def memory_kills() -> int | None:
    """How many processes the system has killed since its start as memory ran out.

    Those that went beyond the limit of a container count, too. None where the system
    does not say: only Linux does.
    """
    try:
        events = _EVENTS.read_text("ascii").splitlines()
    except OSError:
        return None
    for event in events:
        name, _, count = event.partition(" ")
        if name == "oom_kill":
            return int(count)
    return None


@cache
def _malloc_trim() -> Any | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # macOS, musl; Windows has no None
        return None
