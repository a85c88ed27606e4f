"""Layers: where the labels can be read, with how many neurons, at which depth."""

from ui import frame, guard
from ui.layers.view import show_page

frame(
    "Layers",
    ":material/stacked_line_chart:",
    caption="A sparse probe reads the labels from every layer: what it knows, where.",
)
with guard():
    show_page()
