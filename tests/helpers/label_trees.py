"""Predictions over a tree of labels."""

import pandas as pd

ROWS = [
    ("train", "a", "x", "a", "x"),
    ("test", "a", "x", "a", "y"),
    ("test", "a", "y", "a", "y"),
    ("test", "a", "x", "b", "x"),
    ("test", "b", "x", "b", "x"),
    ("train", "b", "z", "b", "z"),
]
NAMES = ["split", "label_1", "label_2", "predicted_1", "predicted_2"]
FRAME = pd.DataFrame(ROWS, columns=NAMES)
