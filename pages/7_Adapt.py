"""Adapt: where the classes stand apart, tuning up to there, and what it gains."""

from ui import frame, guard
from ui.adapt import show_page

frame(
    "Adapt",
    ":material/tune:",
    caption="Tune fewer layers: those up to where the classes stand apart best.",
)
with guard():
    show_page()
