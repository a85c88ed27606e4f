"""Errors: which classes are confused, in which slices, and how reliable answers are."""

from ui import frame, guard
from ui.errors.view import show_page

frame(
    "Errors",
    ":material/rule:",
    caption="Which classes are confused, in which texts, and how reliable answers are.",
)
with guard():
    show_page()
