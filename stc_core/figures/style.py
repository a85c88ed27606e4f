"""The style of all figures: colours with a fixed meaning, shared marks, one layout.

The palette is for poolings and quantities, the diverging colours for (blue) or against
(orange) a class, and the sequential ones for activation. Every colour is legible on a
light and on a dark page, so figures have no background.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, Literal, NamedTuple

import pandas as pd
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
        """White or nearly black, whichever is more legible on this colour."""
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


def short_names(names: Sequence[str], limit: int) -> list[str]:
    """`names` as `one_line` cuts them, and different names always look different.

    Names that would be cut alike keep their ends: 'Balance not upd…' twice becomes
    'Balance…cheque' and 'Balance…transfer'. If that is not enough, they are numbered.
    """
    cut = [one_line(name, limit) for name in names]
    alike = {name for name, n in Counter(cut).items() if n > 1}
    pairs = list(zip(names, cut, strict=True))
    cut = [_cut_inside(name, limit) if one in alike else one for name, one in pairs]
    still = {name for name, n in Counter(cut).items() if n > 1}
    seen: Counter[str] = Counter()
    for at, one in enumerate(cut):
        if one in still:
            seen[one] += 1
            cut[at] = f"{one} ({seen[one]})"
    return cut


def _cut_inside(text: str, limit: int) -> str:
    """`text` on one line with its middle left out, so that its end can be read."""
    line = " ".join(text.split())
    if len(line) <= limit:
        return one_line(line, limit)
    tail = (limit - 1) // 2
    return one_line(f"{line[: limit - 1 - tail]}…{line[-tail:]}", limit)


def thin(colour: str, opacity: float = 0.5) -> str:
    """A `#rrggbb` colour with some opacity."""
    return Colour(*(int(colour[at : at + 2], 16) for at in (1, 3, 5))).css(opacity)


def figure_of(
    traces: Sequence[Mapping[str, Any]],
    *,
    shapes: Sequence[Mapping[str, Any]] = (),
    annotations: Sequence[Mapping[str, Any]] = (),
) -> go.Figure:
    """A figure made of all `traces` at once; each trace names its `type`.

    If traces were added one by one, Plotly would check the earlier ones again each
    time, and it makes trace objects twice. That would slow down each click.
    """
    layout = {"shapes": list(shapes), "annotations": list(annotations)}
    return go.Figure(list(traces), {name: v for name, v in layout.items() if v})


def share_ticks(low: float, high: float) -> str:
    """The number format of a share axis from `low` to `high`, with no equal ticks."""
    reach = high - low
    return ".0%" if reach >= 0.08 else ".1%" if reach >= 0.008 else ".2%"


def ticks_among(shares: Iterable[float]) -> str:
    """The number format of an axis for these shares, as from `share_ticks`."""
    known = [float(share) for share in shares if isfinite(share)]
    return share_ticks(min(known, default=0.0), max(known, default=1.0))


def across(axis: Literal["x", "y"], value: float, **style: Any) -> dict[str, Any]:
    """The shape of a line across the whole figure at this value of `axis`."""
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


def row_positions(n: int) -> list[int]:
    """The heights at which `n` rows are drawn, the first on top."""
    return list(range(n))[::-1]


def row_axis(names: Sequence[str], **style: Any) -> dict[str, Any]:
    """The y axis of a figure that has a row for each name, the first on top."""
    return {
        "tickvals": row_positions(len(names)),
        "ticktext": list(names),
        "showgrid": False,
        **style,
    }


def layer_axis(layers: Iterable[Any], **style: Any) -> dict[str, Any]:
    """The x axis of a figure by layer, with a tick at each of these layers."""
    return {
        "title": "layer (0: embeddings)",
        "tickvals": list(layers),
        "showgrid": False,
        **style,
    }


def row_bars(
    values: Sequence[float],
    *,
    texts: Sequence[str],
    hovers: Sequence[str],
    **style: Any,
) -> dict[str, Any]:
    """The trace of a horizontal bar in each row; each text stands at the bar's end."""
    return {
        "type": "bar",
        "orientation": "h",
        "x": list(values),
        "y": row_positions(len(values)),
        "text": list(texts),
        "textposition": "outside",
        "cliponaxis": False,
        "hovertext": list(hovers),
        "hoverinfo": "text",
        **style,
    }


def outlines(
    x: Iterable[Any],
    y: Iterable[Any],
    *,
    size: int,
    colour: str,
    symbol: str = "circle-open",
    width: int | float = 3,
    **style: Any,
) -> dict[str, Any]:
    """The trace of an outline around each point; it does not react to the mouse."""
    line = {"width": width}
    return {
        "type": "scatter",
        "x": x,
        "y": y,
        "mode": "markers",
        "marker": {"symbol": symbol, "size": size, "color": colour, "line": line},
        "hoverinfo": "skip",
        **style,
    }


def interval_bars(
    table: pd.DataFrame, value: str, low: str, high: str, **style: Any
) -> dict[str, Any]:
    """Plotly's error bars around the column `value`, from `low` to `high`."""
    return {
        "type": "data",
        "symmetric": False,
        "array": table[high] - table[value],
        "arrayminus": table[value] - table[low],
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
    """`figure` with the layout of all figures; `axes` are xaxis, yaxis and so on.

    The margin on the left, and below if `bottom` is not given, is what the axes need.
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
    """Set parts of the layout of `figure`; other settings in a part stay.

    It does the same as `figure.update_layout(layout)`, but is many times faster.
    """
    for name, value in layout.items():
        current = (
            figure.layout[name].to_plotly_json() if isinstance(value, dict) else {}
        )
        figure.layout[name] = {**current, **value} if current else value


def lay_axes(figure: go.Figure, which: Literal["x", "y"], **axis: Any) -> None:
    """Set parts of each x or y axis of `figure`, as `lay(xaxis=axis)` does for one."""
    names = [name for name in figure.layout if _AXIS.fullmatch(name)]
    lay(figure, **{name: axis for name in names if name.startswith(which)})
