"""Predict: labels for a table or for pasted lines, with a trained classifier."""

from ui import frame, guard
from ui.predict import show_page

frame(
    "Predict",
    ":material/batch_prediction:",
    caption="The columns of your table stay; a label and a probability per class join.",
)
with guard():
    show_page()
