"""The room that the axes of a figure need in the app.

Plotly's `automargin` measures it by drawing a figure twice, unless the given margins
are wide enough. So a good first estimate halves the time of a chart. Widths are those
of the app's font (Source Sans, ticks 12 and titles 14 pixels), rounded up a little. If
an estimate is too small, automargin corrects it.
"""

from typing import Any

import plotly.graph_objects as go

_TICK = 12
_GAP = 17
"""The distance from tick labels to the axis and to the edge, in pixels."""
_TITLE = 40
_TITLE_BY_STANDOFF = 10
"""The height of a title without its standoff, if a standoff is set, in pixels."""
_BELOW, _BELOW_TITLE = 38, 68
_NUMBER = "0.05"
_SHARES = {".0%": "100%", ".1%": "100.0%", ".2%": "100.00%"}
_NARROW, _MIDDLE, _WIDE = "ijlI|!.,:;' ()[]{}`", 'frtsz-/\\"*', "mwMW%@…"


def text_width(text: str) -> float:
    """The approximate width of a tick label in pixels, rather too large than small."""
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
    """The pixels that the labels and titles of the y axes need left of the plot."""
    return max((_beside(axis) for axis in _axes(figure, "y")), default=8)


def below(figure: go.Figure) -> int:
    """The pixels that the labels and titles of the x axes need below the plot."""
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
