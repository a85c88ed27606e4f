"""The steps to the previous and the next item, in the order that a page shows."""

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")


class Steps(NamedTuple, Generic[Item]):
    """The previous and the next item (None at the ends), and the position in words."""

    back: Item | None
    forth: Item | None
    position: str


def steps(shown: Sequence[Item], now: Item) -> Steps[Item]:
    """The steps from `now` in the order `shown`, and the position, as '12 of 171'.

    If `now` is not shown, the step forth leads to the first item shown.
    """
    order, n = list(shown), f"{len(shown):,}"
    if now not in order:
        return Steps(None, order[0] if order else None, f"not among {n} shown")
    at = order.index(now)
    back, forth = order[at - 1 : at] if at else [], order[at + 1 : at + 2]
    return Steps(next(iter(back), None), next(iter(forth), None), f"{at + 1:,} of {n}")


def steps_around(shown: Sequence[Item], now: Item, most: int) -> list[Item]:
    """`most` items of the order `shown` around `now`.

    They stay the same while `now` moves a few steps.
    """
    half = most // 2
    start = list(shown).index(now) // half * half - half // 2
    start = max(0, min(start, len(shown) - most))
    return list(shown[start : start + most])
