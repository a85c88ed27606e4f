"""The contrast of two colours."""

from stc_core.figures.style import Colour


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    low, high = sorted(Colour(*map(round, colour)).luminance for colour in (one, other))
    return (high + 0.05) / (low + 0.05)
