"""Compare: all runs on the same data, and two of them text by text."""

from ui import frame, guard
from ui.compare.view import show_page

frame(
    "Compare",
    ":material/compare_arrows:",
    caption="Which run on the same data is better, where, and whether it may be luck.",
)
with guard():
    show_page()
