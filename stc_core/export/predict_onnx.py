"""Labels texts with an exported graph: python predict.py FOLDER < texts.txt

It needs numpy, onnxruntime and tokenizers, neither torch nor STC Studio. Each line of
the input is a text; each line of the output is its label and the probability of it.
"""

import json
import sys
from pathlib import Path
from runpy import run_path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


class OnnxClassifier:
    """The classifier in a folder that `stc export RUN --onnx FOLDER` wrote."""

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        about = json.loads((folder / "about.json").read_text("utf-8"))
        self.classes, self.apart = about["classes"], about["one_length_at_a_time"]
        # The file says how to cut and to pad.
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.session = onnxruntime.InferenceSession(str(folder / about["graph"]))
        self.words = None
        if (words := folder / "word_logits.py").is_file():  # it reads words, too
            self.words = run_path(str(words))["WordLogits"](folder)

    def run(self, texts: list[str]) -> dict[str, np.ndarray]:
        """Arrays by name: logits and probabilities (n, n_class), label (n)."""
        rows = self.tokenizer.encode_batch(texts)
        inputs = {
            "input_ids": np.array([row.ids for row in rows], np.int64),
            "attention_mask": np.array([row.attention_mask for row in rows], np.int64),
        }
        if self.words is not None:
            inputs["word_logits"] = self.words(texts)
        names = [output.name for output in self.session.get_outputs()]
        arrays = map(np.asarray, self.session.run(names, inputs))
        return dict(zip(names, arrays, strict=True))

    def predict(self, texts: list[str]) -> list[tuple[str, float]]:
        """The label of each text, and its probability."""
        if self.apart and len(texts) > 1:
            return [answer for text in texts for answer in self.predict([text])]
        out = self.run(texts)
        labels = [self.classes[place] for place in out["label"]]
        return list(zip(labels, out["probabilities"].max(axis=1).tolist(), strict=True))


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1], "about.json").is_file():
        sys.exit(f"Give the folder that `stc export --onnx` wrote, not {sys.argv[1:]}")
    lines = [line.strip() for line in sys.stdin if line.strip()]
    for label, probability in OnnxClassifier(sys.argv[1]).predict(lines):
        sys.stdout.write(f"{label}\t{probability:.4f}\n")
