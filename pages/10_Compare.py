"""Compare: runs on the same data, and two of them text by text."""

from ui import frame, guard
from ui.compare import show_page

frame(
    "Compare",
    ":material/compare_arrows:",
    caption="Runs on the same data: which is better, where, and is it more than luck.",
)
with guard():
    show_page()
