"""What the C library keeps of freed memory."""

import ctypes
from functools import cache
from typing import Any


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
