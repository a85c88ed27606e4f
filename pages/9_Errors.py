"""Errors: what is taken for what, in which slices, and how far to trust the answers."""

from ui import frame, guard
from ui.errors.view import show_page

frame(
    "Errors",
    ":material/rule:",
    caption="What is taken for what, in which slices, and how far to trust an answer.",
)
with guard():
    show_page()
