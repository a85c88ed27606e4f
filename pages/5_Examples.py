"""Examples: texts and their predictions, and why one of them got its label."""

from ui import frame, guard
from ui.examples.view import show_page

frame(
    "Examples",
    ":material/chat_bubble:",
    caption="Each text with its prediction, and why: by layer, by neuron, by word.",
)
with guard():
    show_page()
