"""Hierarchy: the tree of labels, the layer of each level, and the path of one text."""

from ui import frame, guard
from ui.hierarchy.view import show_page

frame(
    "Hierarchy",
    ":material/account_tree:",
    caption="Coarse labels are decided at an inner layer, finer labels above it.",
)
with guard():
    show_page()
