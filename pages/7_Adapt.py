"""Adapt: find the layer that separates the classes best, and tune up to it."""

from ui import frame, guard
from ui.adapt import show_page

frame(
    "Adapt",
    ":material/tune:",
    caption="Tune only the layers up to the one that separates the classes best.",
)
with guard():
    show_page()
