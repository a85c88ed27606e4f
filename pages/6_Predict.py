"""Predict: labels for a table or for pasted lines, with a trained classifier."""

from ui import frame, guard
from ui.predict.view import show_page

frame(
    "Predict",
    ":material/batch_prediction:",
    caption="New texts with their labels, and why they got them.",
)
with guard():
    show_page()
