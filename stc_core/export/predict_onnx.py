"""Labels texts with an exported graph: python predict.py FOLDER < texts.txt

It needs numpy, onnxruntime and tokenizers, neither torch nor STC Studio. Each line of
the input is a text; each line of the output is its label and the probability of it.
"""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


class OnnxClassifier:
    """The classifier in a folder that `stc export RUN --onnx FOLDER` wrote."""

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        about = json.loads((folder / "about.json").read_text("utf-8"))
        self.classes: list[str] = about["classes"]
        self.apart: bool = about["one_length_at_a_time"]
        # The file says how to cut and to pad.
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.words = _Words(folder) if about.get("words") else None
        self.session = onnxruntime.InferenceSession(str(folder / about["graph"]))

    def run(self, texts: list[str]) -> dict[str, Any]:
        """Arrays by name: logits and probabilities (n, n_class), label (n)."""
        encoded = self.tokenizer.encode_batch(texts)
        ids = np.array([row.ids for row in encoded], np.int64)
        mask = np.array([row.attention_mask for row in encoded], np.int64)
        names = [output.name for output in self.session.get_outputs()]
        inputs = {"input_ids": ids, "attention_mask": mask}
        if self.words is not None:
            inputs["word_logits"] = self.words.logits(texts)
        return dict(zip(names, self.session.run(names, inputs), strict=True))

    def predict(self, texts: list[str]) -> list[tuple[str, float]]:
        """The label of each text, and its probability."""
        if self.apart and len(texts) > 1:
            return [answer for text in texts for answer in self.predict([text])]
        out = self.run(texts)
        return [
            (self.classes[label], float(probabilities[label]))
            for label, probabilities in zip(
                out["label"], out["probabilities"], strict=True
            )
        ]


class _Words:
    """What the words of a text add to the logits, from words.npz and ngrams.py."""

    def __init__(self, folder: Path) -> None:
        with np.load(folder / "words.npz") as file:
            words, self.weight = file["words"].tolist(), file["weight"]
        self.columns = {word: place for place, word in enumerate(words)}
        spec = importlib.util.spec_from_file_location("ngrams", folder / "ngrams.py")
        assert spec is not None and spec.loader is not None, folder
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.ngrams = module.ngrams

    def logits(self, texts: list[str]) -> np.ndarray:
        values = np.zeros((len(texts), len(self.columns)), np.float32)
        for row, text in enumerate(texts):
            for word, value in self.ngrams(text).values.items():
                if word in self.columns:
                    values[row, self.columns[word]] = value
        return values @ self.weight.T


if __name__ == "__main__":
    lines = [line.strip() for line in sys.stdin if line.strip()]
    for label, probability in OnnxClassifier(sys.argv[1]).predict(lines):
        sys.stdout.write(f"{label}\t{probability:.4f}\n")
