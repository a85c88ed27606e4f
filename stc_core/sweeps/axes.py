"""The settings that a sweep varies, and their values as they are typed."""

import re
from collections.abc import Sequence
from typing import TypeVar

from stc_core.errors import StcError

MOST_SWEPT_RUNS = 1000
SWEEP_AXES = (
    *("backbone", "max_length", "recipe", "preset", "penalty", "words", "eta"),
    *("budget", "max_layer", "max_neurons", "tolerance", "stable", "use_weight"),
    "seed",
)
"""The settings that may have several values."""
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_T = TypeVar("_T")


def parse_seeds(typed: Sequence[str]) -> tuple[int, ...]:
    """The seeds that texts such as `3`, `0..4` and `1,5,9` stand for, in order.

    Both ends of a range count. StcError for an empty range, and for what is no number.
    """
    seeds: list[int] = []
    for part in (part.strip() for text in typed for part in text.split(",")):
        if part.isdecimal():
            seeds.append(int(part))
            continue
        ends = _RANGE.fullmatch(part)
        first, last = (int(ends[1]), int(ends[2])) if ends else (1, 0)
        if first > last:
            raise StcError(
                "option --seed",
                expected="whole numbers, or a range from the smaller to the larger one "
                "such as 0..4",
                got=f"the empty range {part}" if ends else repr(part),
            )
        if last - first >= MOST_SWEPT_RUNS:
            raise too_many_runs(last - first + 1)
        seeds += range(first, last + 1)
    return tuple(seeds)


def once_each(values: Sequence[_T], option: str) -> tuple[_T, ...]:
    """The values; StcError if one of them is given twice."""
    for place, value in enumerate(values):
        if value in values[:place]:
            raise StcError(
                f"option {option}", expected="each value once", got=f"{value} twice"
            )
    return tuple(values)


def too_many_runs(size: int) -> StcError:
    """The error for a sweep of `size` runs."""
    return StcError(
        "this sweep",
        expected=f"{MOST_SWEPT_RUNS:,} runs at most",
        got=f"{size:,}",
        remedy="Give fewer values.",
    )
