"""How much room the axes of a figure need, as they are drawn in the app.

Plotly's `automargin` finds that out by drawing a figure twice, unless the margins that
it is given are wide enough: a first guess that is right halves the time of a chart.
Widths are of the app's font (Source Sans, ticks 12 and titles 14 pixels), a little
rounded up; where a guess is short, automargin still mends it.
"""

from typing import Any

import plotly.graph_objects as go

_TICK = 12
_GAP = 17
"""From the tick labels to the axis, and from the edge."""
_TITLE = 40
_TITLE_BY_STANDOFF = 10
"""What a title takes beside its standoff, where that is given."""
_BELOW, _BELOW_TITLE = 38, 68
_NUMBER = "0.05"
_SHARES = {".0%": "100%", ".1%": "100.0%", ".2%": "100.00%"}
_NARROW, _MIDDLE, _WIDE = "ijlI|!.,:;' ()[]{}`", 'frtsz-/\\"*', "mwMW%@…"


def text_width(text: str) -> float:
    """About how wide a tick label is in pixels; rather too wide than too narrow."""
    return _TICK * sum(map(_em, text), 0.0)


def _em(letter: str) -> float:
    if letter in _NARROW:
        return 0.3
    if letter in _MIDDLE:
        return 0.42
    if letter in _WIDE:
        return 0.84
    if ord(letter) >= 0x1100:
        return 1.0
    return 0.65 if letter.isupper() else 0.53


def left_of(figure: go.Figure) -> int:
    """Pixels left of the plot for the labels and the title of its y axes."""
    return max((_beside(axis) for axis in _axes(figure, "y")), default=8)


def below(figure: go.Figure) -> int:
    """Pixels below the plot for the labels and the title of its x axes."""
    return max((_under(axis) for axis in _axes(figure, "x")), default=8)


def _axes(figure: go.Figure, which: str) -> list[Any]:
    layout: Any = figure.layout
    names = [name for name in layout if name.startswith(f"{which}axis")]
    axes = [layout[name] for name in names] or [layout[f"{which}axis"]]
    return [axis for axis in axes if axis.visible is not False]


def _beside(axis: Any) -> int:
    labels = axis.ticktext
    if labels is None:
        form = (axis.tickformat or "").lstrip("+")
        labels = [_SHARES.get(form, _NUMBER)]
    widest = max((text_width(_shown(label)) for label in labels), default=0.0)
    return round(_GAP + widest + _title(axis))


def _shown(label: object) -> str:
    """A label as it is drawn: `figures.plain` writes some letters as entities."""
    text = str(label).replace("&lt;", "<").replace("&gt;", ">")
    return text.replace("&amp;", "&")


def _title(axis: Any) -> int:
    if not axis.title.text:
        return 0
    gap = axis.title.standoff
    return _TITLE if gap is None else _TITLE_BY_STANDOFF + round(gap)


def _under(axis: Any) -> int:
    if axis.side == "top":
        return 8
    return _BELOW_TITLE if axis.title.text else _BELOW
