"""What a command gives back that `conftest.stc` typed."""

from collections.abc import Callable
from typing import NamedTuple


class Said(NamedTuple):
    """How a command ended: its exit code, stdout and stderr."""

    code: int
    out: str
    err: str


Stc = Callable[..., Said]
