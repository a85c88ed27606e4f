"""Words coloured by a value, as HTML with every text escaped.

Colours are translucent, so the words are legible on a light and on a dark page.
"""

from collections.abc import Sequence
from html import escape
from typing import Literal, NamedTuple

from stc_core.display import formatted
from stc_core.figures.style import ACTIVE, AGAINST, FOR, Colour
from stc_core.interpret.explanation import Token, segments

Palette = Literal["diverging", "sequential"]
STRONGEST = 0.62  # opacity; text on it still has a contrast above 4.5 on both pages
UNREAD = 400
"""The most characters shown of the part that was cut off, which may be very long."""
_BOX = (
    "line-height:2.1;overflow-wrap:anywhere;white-space:pre-wrap;"
    "font-size:1rem;margin:0.15rem 0 0.35rem"
)
_CHIP = "border-radius:4px;padding:2px 0"
_UNKNOWN = ";text-decoration:underline dotted;text-underline-offset:0.25em"
_SPECIAL = (
    "border-radius:4px;padding:1px 5px;font-size:0.78rem;opacity:0.95;"
    "white-space:nowrap;font-family:monospace;border:1px dashed rgba(128,138,150,0.7)"
)


class Shade(NamedTuple):
    """The values that have no colour and full colour."""

    palette: Palette
    floor: float
    reach: float
    gamma: float = 1.0


def coloured(
    text: str,
    tokens: Sequence[Token],
    *,
    palette: Palette,
    scale: float | None = None,
    floor: float = 0.0,
    gamma: float = 1.0,
    unit: str = "",
) -> str:
    """`text` with each token's characters on the colour of its value, as HTML.

    `tokens` are units or words, which share no characters. A value of `scale` (default:
    the largest absolute value) has full colour. On the sequential palette a value of
    `floor` has none. A `gamma` below 1 makes weak values more visible, above 1 only
    strong ones. The value is shown on hover. Characters that no token stands for are
    grey, except white space. Special tokens follow the text as chips with their signed
    value.
    """
    reach = scale or max((abs(token.value) for token in tokens), default=0.0)
    shade = Shade(palette, floor, reach, gamma)
    parts = segments(text, tokens)
    shown = [
        _chip(part.text, part.token, shade, unit)
        if part.token is not None
        else _unread(part.text, at_end=part is parts[-1])
        if part.unread and tokens
        else escape(part.text)
        for part in parts
    ]
    specials = [_special(token, shade, unit) for token in tokens if token.special]
    # Outside of the text, which may run from right to left.
    after = f" <bdi>{' '.join(specials)}</bdi>" if specials else ""
    return f'<div dir="auto" style="{_BOX}">{"".join(shown)}{after}</div>'


def _unread(part: str, *, at_end: bool) -> str:
    """A part of the text that was not read, in grey; its length if it is at the end."""
    shown = part if len(part) <= UNREAD else f"{part[:UNREAD]} …"
    grey = f'<span style="opacity:0.5" title="not read">{escape(shown)}</span>'
    if not at_end and shown == part:
        return grey
    number = "1 character was" if len(part) == 1 else f"{len(part):,} characters were"
    return f'{grey} <bdi style="opacity:0.7">({number} not read)</bdi>'


def _chip(shown: str, token: Token, shade: Shade, unit: str) -> str:
    # Tokens of some models begin with white space, which is not coloured.
    body = shown.lstrip() or shown
    lead = shown[: len(shown) - len(body)]
    name = shown.strip() or "white space"
    if token.unknown:
        name = f"{name} (unknown to the model)"
    title = escape(f"{name}: {_number(token.value, shade)} {unit}".strip())
    underline = _UNKNOWN if token.unknown else ""
    style = f"background:{background(token.value, shade)};{_CHIP}{underline}"
    return f'{escape(lead)}<span style="{style}" title="{title}">{escape(body)}</span>'


def _special(token: Token, shade: Shade, unit: str) -> str:
    value = _number(token.value, shade)
    shown = f"{token.text} {value}" if shade.palette == "diverging" else token.text
    style = f"background:{background(token.value, shade)};{_SPECIAL}"
    title = escape(f"special token {token.text}: {value} {unit}".strip())
    return f'<span style="{style}" title="{title}">{escape(shown)}</span>'


def _number(value: float, shade: Shade) -> str:
    return formatted(value, "+.3f") if shade.palette == "diverging" else f"{value:.3g}"


def background(value: float, shade: Shade) -> str:
    """The CSS colour of `value`: transparent at the floor, STRONGEST at `reach`.

    On the sequential palette a value below the floor has no colour.
    """
    if shade.palette == "sequential":
        height, colour = max(value - shade.floor, 0.0), Colour(*ACTIVE)
        reach = shade.reach - shade.floor
    else:
        height, colour = abs(value), Colour(*(FOR if value >= 0 else AGAINST))
        reach = shade.reach
    share = min(height / reach, 1.0) if reach > 0 else 0.0
    return colour.css(STRONGEST * share**shade.gamma)


def legend(
    palette: Palette, *, scale: float, floor: float = 0.0, low: str = "", high: str = ""
) -> str:
    """A bar of the palette with its ends named, as HTML."""
    if palette == "diverging":
        against, towards = Colour(*AGAINST), Colour(*FOR)
        stops = f"{against.css(STRONGEST)}, transparent, {towards.css(STRONGEST)}"
        left, right = f"{low} −{scale:.3g}".strip(), f"+{scale:.3g} {high}".strip()
    else:
        stops = f"transparent, {Colour(*ACTIVE).css(STRONGEST)}"
        left, right = f"{low} {floor:.3g}".strip(), f"{scale:.3g} {high}".strip()
    bar = (
        "display:inline-block;width:9rem;height:0.7rem;border-radius:4px;"
        "vertical-align:middle;margin:0 0.5rem;border:1px solid rgba(128,138,150,0.4);"
        f"background:linear-gradient(to right, {stops})"
    )
    return _small(f'{escape(left)}<span style="{bar}"></span>{escape(right)}')


def note(text: str) -> str:
    """`text` as HTML with the height of a legend, as a placeholder for one."""
    return _small(escape(text))


def _small(html: str) -> str:
    return f'<div style="font-size:0.85rem;opacity:0.9">{html}</div>'
