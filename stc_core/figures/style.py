"""What all figures share: colours with a fixed meaning, names as text, one layout.

Palette: poolings and quantities. Diverging: for (blue) or against (orange) a class.
Sequential: how active. Every colour reads on a light and on a dark page, so figures
have no backgrounds of their own.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, Literal, NamedTuple

import plotly.graph_objects as go

from stc_core.figures.margins import below, left_of

# Okabe and Ito's palette, safe for colour-blind eyes, moved towards the middle
# tones so that each has some contrast with white and with black.
PALETTE = (
    "#1B84C6",
    "#E08A00",
    "#0B9E75",
    "#CB6BA2",
    "#D9541E",
    "#5B6FD6",
    "#9C8F00",
    "#868E99",
)
GREY = "rgba(128, 138, 150, 0.95)"
FAINT = "rgba(128, 138, 150, 0.3)"
FOR = (31, 133, 207)
AGAINST = (224, 116, 16)
ACTIVE = (11, 158, 117)
MARK = "#D9541E"
INKS = ("#FFFFFF", "#10161D")


_AXIS = re.compile(r"[xy]axis\d*")


class Colour(NamedTuple):
    """An 8-bit colour; `css` gives it some opacity, 0 to 1."""

    red: int
    green: int
    blue: int

    def css(self, opacity: float = 1.0) -> str:
        return f"rgba({self.red}, {self.green}, {self.blue}, {opacity:.3f})"

    @property
    def luminance(self) -> float:
        """Relative luminance, 0 to 1 (WCAG 2.1)."""
        parts = (part / 255 for part in self)
        red, green, blue = (
            part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4
            for part in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    @property
    def ink(self) -> str:
        """White or nearly black: what reads best on this colour."""
        return INKS[self.luminance > 0.2]


def signed(value: float) -> Colour:
    """The colour of a contribution: blue is for the class, orange against it."""
    return Colour(*(FOR if value >= 0 else AGAINST))


def diverging_scale() -> list[list[Any]]:
    """Plotly's colour scale for signed values; zero fades into the page."""
    against, towards = Colour(*AGAINST), Colour(*FOR)
    return [
        [0.0, against.css()],
        [0.25, against.css(0.7)],
        [0.5, "rgba(128, 138, 150, 0.16)"],
        [0.75, towards.css(0.7)],
        [1.0, towards.css()],
    ]


def sequential_scale() -> list[list[Any]]:
    """Plotly's colour scale for activations and importance; zero fades away."""
    active = Colour(*ACTIVE)
    return [[0.0, active.css(0.12)], [1.0, active.css()]]


def one_line(text: object, limit: int = 34) -> str:
    """`text` on one line, at most `limit` long, shown letter for letter by Plotly."""
    line = " ".join(str(text).split())
    cut = line if len(line) <= limit else line[: limit - 1] + "…"
    return cut.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def thin(colour: str, opacity: float = 0.5) -> str:
    """A `#rrggbb` colour with some opacity."""
    return Colour(*(int(colour[at : at + 2], 16) for at in (1, 3, 5))).css(opacity)


def figure_of(
    traces: Sequence[Mapping[str, Any]],
    *,
    shapes: Sequence[Mapping[str, Any]] = (),
    annotations: Sequence[Mapping[str, Any]] = (),
) -> go.Figure:
    """A figure of all of these at once; a trace says its `type`.

    Each that is added later has Plotly go over those before it again, and a trace that
    is an object is made a second time: a click waits for that.
    """
    layout = {"shapes": list(shapes), "annotations": list(annotations)}
    return go.Figure(list(traces), {name: v for name, v in layout.items() if v})


def share_ticks(low: float, high: float) -> str:
    """How an axis of shares from `low` to `high` writes them: no two ticks the same."""
    reach = high - low
    return ".0%" if reach >= 0.08 else ".1%" if reach >= 0.008 else ".2%"


def ticks_among(shares: Iterable[float]) -> str:
    """How an axis that holds these shares writes them, as by `share_ticks`."""
    known = [float(share) for share in shares if isfinite(share)]
    return share_ticks(min(known, default=0.0), max(known, default=1.0))


def across(axis: Literal["x", "y"], value: float, **style: Any) -> dict[str, Any]:
    """The shape of a line through the whole figure, where `axis` has this value."""
    other = "y" if axis == "x" else "x"
    return {
        "type": "line",
        f"{axis}0": value,
        f"{axis}1": value,
        f"{other}0": 0,
        f"{other}1": 1,
        f"{other}ref": f"{other} domain",
        **style,
    }


def settle(
    figure: go.Figure,
    *,
    height: int,
    right: int = 22,
    top: int = 16,
    bottom: int | None = None,
    legend: bool = False,
    **axes: Any,
) -> go.Figure:
    """`figure` with the layout that all share; `axes` are xaxis, yaxis and so on.

    Left, and below without a `bottom`, it leaves what its axes need.
    """
    lay(
        figure,
        height=height,
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        showlegend=legend,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        hoverlabel={"align": "left"},
        hovermode="closest",
        **axes,
    )
    lay_axes(figure, "x", automargin=True, zeroline=False)
    lay_axes(figure, "y", automargin=True, zeroline=False)
    sides = {"l": left_of(figure), "b": below(figure) if bottom is None else bottom}
    lay(figure, margin={"r": right, "t": top, **sides})
    return figure


def lay(figure: go.Figure, **layout: Any) -> None:
    """Set parts of the layout of `figure`; what a part says of other things stays.

    As `figure.update_layout(layout)` does in many times the time.
    """
    for name, value in layout.items():
        held = figure.layout[name].to_plotly_json() if isinstance(value, dict) else {}
        figure.layout[name] = {**held, **value} if held else value


def lay_axes(figure: go.Figure, which: Literal["x", "y"], **axis: Any) -> None:
    """The same of each x or y axis that `figure` has: `lay(xaxis=axis)` and so on."""
    names = [name for name in figure.layout if _AXIS.fullmatch(name)]
    lay(figure, **{name: axis for name in names if name.startswith(which)})
