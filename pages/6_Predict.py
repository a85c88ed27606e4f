"""Predict: labels for a table or for pasted lines, with a trained classifier."""

from ui import frame, guard
from ui.predict import show_page

frame(
    "Predict",
    ":material/batch_prediction:",
    caption="Your table, with the predicted label and its probabilities added.",
)
with guard():
    show_page()
