"""Lists of texts and of classes as HTML, each with its numbers."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from stc_core.figures.style import AGAINST, FOR, Colour
from stc_core.figures.token_heatmap import _BOX, _CHIP
from stc_core.interpret.text_diff import DiffPiece

_MOST_ALIKE = 20
_GRID = (
    "display:grid;grid-template-columns:3.2rem 7.5rem minmax(0, 1fr) 3.6rem;"
    "column-gap:0.9rem;align-items:baseline"
)
_VALUE = "text-align:right;font-variant-numeric:tabular-nums;font-weight:600"
_LABEL = (
    "overflow:hidden;text-overflow:ellipsis;white-space:nowrap;font-size:0.85rem;"
    "opacity:0.8"
)
_FOLDED = "font-size:0.85rem;opacity:0.85;margin:-0.2rem 0 0.5rem"
_LINK = "font-size:0.85rem;color:inherit;opacity:0.8"


class TextRow(NamedTuple):
    """A text of a list: its value, its label, its coloured HTML and its link.

    `alike` are the similar texts that it stands for.
    """

    value: float
    label: str
    html: str
    href: str
    alike: tuple[str, ...] = ()


def _digits(value: float) -> str:
    """The value with three digits, also if the last is a zero, for easy comparison."""
    return f"{value:#.3g}".rstrip(".")


def text_list(rows: Sequence[TextRow], *, link: str = "explain") -> str:
    """The texts one below another, each with its value, label and link, as HTML."""
    cells = [
        f'<div style="{_VALUE}">{_digits(row.value)}</div>'
        f'<div style="{_LABEL}" title="{escape(row.label)}">{escape(row.label)}</div>'
        f"<div>{row.html}{_folded(row.alike)}</div>"
        f'<a style="{_LINK}" href="{escape(row.href)}" target="_self"'
        f' title="Why this text got its label">{escape(link)}</a>'
        for row in rows
    ]
    return f'<div style="{_GRID}">{"".join(cells)}</div>'


def _folded(alike: Sequence[str]) -> str:
    """A line as '+3 alike' that unfolds to the texts."""
    if not alike:
        return ""
    shown = "".join(f"<div>{escape(text)}</div>" for text in alike[:_MOST_ALIKE])
    return (
        f'<details style="{_FOLDED}"><summary>+{len(alike):,} alike</summary>'
        f"{shown}</details>"
    )


class ClassRow(NamedTuple):
    """A class of `class_list`: its name, its probability, and the coloured words."""

    name: str
    probability: float
    html: str


def class_list(rows: Sequence[ClassRow]) -> str:
    """The same text once for each class, one below another, as HTML."""
    cells = [
        f'<div style="{_VALUE}">{100 * row.probability:.0f} %</div>'
        f'<div style="{_LABEL}" title="{escape(row.name)}">{escape(row.name)}</div>'
        f"<div>{row.html}</div>"
        for row in rows
    ]
    grid = _GRID.replace(" 3.6rem", "")
    return f'<div style="{grid}">{"".join(cells)}</div>'


def edited(pieces: Sequence[DiffPiece]) -> str:
    """Two texts as one, as HTML: removed words struck out, new words underlined."""
    tags = {"gone": ("del", AGAINST), "new": ("ins", FOR)}
    parts = []
    for kind, text in pieces:
        if kind == "same":
            parts.append(escape(text))
            continue
        tag, colour = tags[kind]
        style = f"background:{Colour(*colour).css(0.28)};{_CHIP}"
        parts.append(f'<{tag} style="{style}">{escape(text)}</{tag}>')
    return f'<div dir="auto" style="{_BOX}">{"".join(parts)}</div>'
