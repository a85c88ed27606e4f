"""Layers: how well each layer predicts the labels, and how few neurons are enough."""

from ui import frame, guard
from ui.layers.view import show_page

frame(
    "Layers",
    ":material/stacked_line_chart:",
    caption="How well a sparse probe can read the labels from each layer.",
)
with guard():
    show_page()
