"""Clicks on charts and tables as pure functions: (context, event) -> context.

An event has the form that Streamlit's `on_select` and `ui.charts.plot` pass. An empty
event, which comes after a table has changed, leaves the context as it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from stc_core.analysis.slices import Slice
from ui.state.context import Context


def click_neuron(context: Context, event: Mapping[str, Any]) -> Context:
    """`context` at the neuron whose marker was clicked.

    A marker that stands for many neurons of a site also carries layer and kind: the
    context then moves to that site, too.
    """
    data = _customdata(event)
    if not data:
        return context
    moved = context.moved(neuron=str(data[0]))
    if len(data) < 3:
        return moved
    return moved.moved(layer=int(data[1]), kind=str(data[2]))


def click_layer(context: Context, event: Mapping[str, Any]) -> Context:
    """`context` at the layer of the point clicked, and at its site and pooling.

    A point that stands for a whole layer leaves site and pooling unchanged.
    """
    data = _customdata(event)
    if not data:
        return context
    moved = context.moved(layer=int(data[0]))
    if len(data) < 3:
        return moved
    return moved.moved(kind=str(data[1]), pooling=str(data[2]))


def clicked_level(event: Mapping[str, Any]) -> tuple[int, int] | None:
    """The level and the layer of the clicked point; None if no point was clicked."""
    data = _customdata(event)
    return (int(data[0]), int(data[1])) if len(data) == 2 else None


def click_option(context: Context, event: Mapping[str, Any]) -> Context:
    """`context` with the depth and the number of neurons of the point clicked."""
    data = _customdata(event)
    if not data:
        return context
    return context.moved(depth=int(data[0]), size=int(data[1]))


def click_run(context: Context, event: Mapping[str, Any]) -> Context:
    """`context` with the clicked run as the run to compare with.

    A click on the current run changes nothing.
    """
    data = _customdata(event)
    if not data or str(data[0]) == context.run:
        return context
    return context.moved(other=str(data[0]))


def click_example(
    context: Context, event: Mapping[str, Any], rows: Sequence[int]
) -> Context:
    """`context` at the example in the table row that was clicked.

    `rows` are the examples in the order of the table. A table also sends an event when
    the app ticks the current example. That is no choice of the user, so it changes
    nothing, and a typed text stays.
    """
    picked = event.get("selection", {}).get("rows", [])
    if not picked or picked[0] >= len(rows) or rows[picked[0]] == context.example:
        return context
    return context.moved(example=int(rows[picked[0]]))


def click_place(
    context: Context, event: Mapping[str, Any], places: Sequence[Mapping[str, Any]]
) -> Context:
    """`context` changed by the entry of `places` for the table row clicked."""
    picked = event.get("selection", {}).get("rows", [])
    if not picked or picked[0] >= len(places):
        return context
    return context.moved(**places[picked[0]])


def click_cell(context: Context, event: Mapping[str, Any]) -> Context:
    """`context` with the texts of the clicked cell of a confusion matrix as its slice.

    The other conditions of the slice stay: length, words, other columns.
    """
    data = _customdata(event)
    if not data:
        return context
    label, predicted = (None if name is None else str(name) for name in data)
    cell_slice = Slice.parse(context.slice).moved(
        label=label, predicted=predicted, wrong=None, uncertain=None
    )
    return context.moved(slice=cell_slice.text)


def _customdata(event: Mapping[str, Any]) -> Sequence[Any]:
    """The custom data of the first clicked point; empty if no point was clicked."""
    points = event.get("selection", {}).get("points", [])
    data = points[0].get("customdata") if points else None
    if data is None:
        return ()
    return data if isinstance(data, list | tuple) else (data,)
