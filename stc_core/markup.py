"""Words coloured by a value, as HTML with every text escaped.

Colours are translucent, so the words read on a light and on a dark page alike.
"""

from collections.abc import Sequence
from html import escape
from typing import Literal

from stc_core.explanation import Token
from stc_core.figures import ACTIVE, AGAINST, FOR, Colour

Palette = Literal["diverging", "sequential"]
STRONGEST = 0.62  # opacity; text on it still has a contrast above 4.5 on both pages
_BOX = (
    "line-height:2.1;overflow-wrap:anywhere;white-space:pre-wrap;"
    "font-size:1rem;margin:0.15rem 0 0.35rem"
)
_CHIP = "border-radius:4px;padding:2px 1px"
_SPECIAL = (
    "border-radius:4px;padding:1px 5px;font-size:0.78rem;opacity:0.95;"
    "font-family:monospace;border:1px dashed rgba(128,138,150,0.7)"
)


def coloured(
    text: str,
    tokens: Sequence[Token],
    *,
    palette: Palette,
    scale: float | None = None,
    unit: str = "",
) -> str:
    """`text` with each token's characters on the colour of its value, as HTML.

    Values of `scale` (default: the largest absolute one) have the full colour. The
    value is shown on hover. What lies between tokens, or was cut off, stays as it
    is; special tokens follow the text as chips that name their value.
    """
    reach = scale or max((abs(token.value) for token in tokens), default=0.0)
    parts, cursor = [], 0
    for token in sorted((t for t in tokens if not t.special), key=lambda t: t.start):
        start = max(token.start, cursor)
        if token.end <= start:
            continue
        parts.append(escape(text[cursor:start]))
        parts.append(_chip(text[start : token.end], token, palette, reach, unit))
        cursor = token.end
    parts.append(_tail(text[cursor:], bool(parts)))
    specials = [
        _special(token, palette, reach, unit) for token in tokens if token.special
    ]
    if specials:
        parts.append(" " + " ".join(specials))
    return f'<div dir="auto" style="{_BOX}">{"".join(parts)}</div>'


def _tail(rest: str, any_token: bool) -> str:
    """What follows the last token; grey if it is text that was not read."""
    if not any_token or not rest.strip():
        return escape(rest)
    return f'<span style="opacity:0.5" title="not read">{escape(rest)}</span>'


def _chip(shown: str, token: Token, palette: Palette, reach: float, unit: str) -> str:
    # Leading white space, part of the tokens of some models, is not coloured.
    lead = shown[: len(shown) - len(shown.lstrip())]
    said = escape(f"{shown.strip()}: {_number(token.value, palette)} {unit}".strip())
    style = f"background:{background(token.value, reach, palette)};{_CHIP}"
    body = escape(shown[len(lead) :])
    return f'{escape(lead)}<span style="{style}" title="{said}">{body}</span>'


def _special(token: Token, palette: Palette, reach: float, unit: str) -> str:
    value = _number(token.value, palette)
    style = f"background:{background(token.value, reach, palette)};{_SPECIAL}"
    said = escape(f"special token {token.text}: {value} {unit}".strip())
    return f'<span style="{style}" title="{said}">{escape(token.text)} {value}</span>'


def _number(value: float, palette: Palette) -> str:
    return f"{value:+.3f}" if palette == "diverging" else f"{value:.3g}"


def background(value: float, reach: float, palette: Palette) -> str:
    """The CSS colour of `value`: transparent at 0, STRONGEST at `reach` and beyond.

    On the sequential palette a value below 0 has no colour.
    """
    if palette == "sequential":
        value, colour = max(value, 0.0), Colour(*ACTIVE)
    else:
        colour = Colour(*(FOR if value >= 0 else AGAINST))
    share = min(abs(value) / reach, 1.0) if reach else 0.0
    return colour.css(STRONGEST * share)


def legend(palette: Palette, *, scale: float, low: str = "", high: str = "") -> str:
    """A bar of the palette with its ends named, as HTML."""
    if palette == "diverging":
        against, towards = Colour(*AGAINST), Colour(*FOR)
        stops = f"{against.css(STRONGEST)}, transparent, {towards.css(STRONGEST)}"
        left, right = f"{low} −{scale:.3g}".strip(), f"+{scale:.3g} {high}".strip()
    else:
        active = Colour(*ACTIVE)
        stops = f"transparent, {active.css(STRONGEST)}"
        left, right = f"{low} 0".strip(), f"{scale:.3g} {high}".strip()
    bar = (
        "display:inline-block;width:9rem;height:0.7rem;border-radius:4px;"
        "vertical-align:middle;margin:0 0.5rem;border:1px solid rgba(128,138,150,0.4);"
        f"background:linear-gradient(to right, {stops})"
    )
    return (
        '<div style="font-size:0.82rem;opacity:0.9">'
        f'{escape(left)}<span style="{bar}"></span>{escape(right)}</div>'
    )
