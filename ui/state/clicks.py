"""Clicks on charts and tables as pure functions: (context, event) -> context.

An event is what Streamlit's `on_select` gives, and `ui.charts.plot`, too; an empty
one, as after a change of the table, moves nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from stc_core.analysis.slices import Slice
from ui.state.context import Context


def click_neuron(context: Context, event: Mapping[str, Any]) -> Context:
    """`context` at the neuron whose marker was clicked.

    A marker that stands for many neurons of a site carries layer and kind as well: the
    click then goes down to that site.
    """
    found = _customdata(event)
    if not found:
        return context
    moved = context.moved(neuron=int(found[0]))
    if len(found) < 3:
        return moved
    return moved.moved(layer=int(found[1]), kind=str(found[2]))


def click_layer(context: Context, event: Mapping[str, Any]) -> Context:
    """`context` at the layer of the point clicked, and at its site and pooling.

    A point that is of a layer alone leaves site and pooling as they are.
    """
    found = _customdata(event)
    if not found:
        return context
    moved = context.moved(layer=int(found[0]))
    if len(found) < 3:
        return moved
    return moved.moved(kind=str(found[1]), pooling=str(found[2]))


def clicked_level(event: Mapping[str, Any]) -> tuple[int, int] | None:
    """The level and the layer of the point of its curve that was clicked, if any."""
    found = _customdata(event)
    return (int(found[0]), int(found[1])) if len(found) == 2 else None


def click_option(context: Context, event: Mapping[str, Any]) -> Context:
    """`context` at the depth and the number of neurons of the point clicked."""
    found = _customdata(event)
    if not found:
        return context
    return context.moved(depth=int(found[0]), size=int(found[1]))


def click_run(context: Context, event: Mapping[str, Any]) -> Context:
    """`context` with the run clicked as the one to compare with; not with itself."""
    found = _customdata(event)
    if not found or str(found[0]) == context.run:
        return context
    return context.moved(other=str(found[0]))


def click_example(
    context: Context, event: Mapping[str, Any], rows: Sequence[int]
) -> Context:
    """`context` at the example in the table row that was clicked.

    `rows` are the examples in the order of the table. A table that shows which one is
    held already tells of it by itself: that is no choice, and ends no typed text.
    """
    picked = event.get("selection", {}).get("rows", [])
    if not picked or picked[0] >= len(rows) or rows[picked[0]] == context.example:
        return context
    return context.moved(example=int(rows[picked[0]]))


def click_place(
    context: Context, event: Mapping[str, Any], places: Sequence[Mapping[str, Any]]
) -> Context:
    """`context` moved to the place that the table row clicked stands for."""
    picked = event.get("selection", {}).get("rows", [])
    if not picked or picked[0] >= len(places):
        return context
    return context.moved(**places[picked[0]])


def click_cell(context: Context, event: Mapping[str, Any]) -> Context:
    """`context` at the texts of the cell of a confusion matrix that was clicked.

    What else the slice says of a text stays: its length, its words, other columns.
    """
    found = _customdata(event)
    if not found:
        return context
    label, predicted = (None if name is None else str(name) for name in found)
    held = Slice.parse(context.slice).moved(
        label=label, predicted=predicted, wrong=None, uncertain=None
    )
    return context.moved(slice=held.text)


def _customdata(event: Mapping[str, Any]) -> Sequence[Any]:
    """What the first clicked point carries; empty without one."""
    points = event.get("selection", {}).get("points", [])
    found = points[0].get("customdata") if points else None
    if found is None:
        return ()
    return found if isinstance(found, list | tuple) else (found,)
