"""Examples: texts with their predictions, and the reasons for one prediction."""

from ui import frame, guard
from ui.examples.view import show_page

frame(
    "Examples",
    ":material/chat_bubble:",
    caption="Each text with its prediction, explained by layer, neuron and word.",
)
with guard():
    show_page()
