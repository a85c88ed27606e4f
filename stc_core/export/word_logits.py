"""What the words of a text add to the logits of an exported graph.

It stands beside predict.py in a folder whose classifier reads words, with words.npz and
ngrams.py. It needs numpy only.
"""

import runpy
from pathlib import Path

import numpy as np


class WordLogits:
    """The words of words.npz with their weights; called with texts, their logits."""

    def __init__(self, folder: Path) -> None:
        with np.load(folder / "words.npz") as file:
            words, self.weight = file["words"].tolist(), file["weight"]
        self.columns = {word: place for place, word in enumerate(words)}
        self.ngrams = runpy.run_path(str(folder / "ngrams.py"))["ngrams"]

    def __call__(self, texts: list[str]) -> np.ndarray:
        """Logits to add, of shape (n, n_class)."""
        values = np.zeros((len(texts), len(self.columns)), np.float32)
        for row, text in enumerate(texts):
            for word, value in self.ngrams(text).values.items():
                if word in self.columns:
                    values[row, self.columns[word]] = value
        return values @ self.weight.T
