"""The answers of a saved classifier by transformers and numpy alone.

Nothing of stc_core is imported here: what it claims is held against this. A BERT's
hidden states are those that it shows; an FFN neuron is the input of the second linear
layer of its block. Each text is run alone, without padding.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import nn

POOLINGS = {
    "mean": lambda a: a.mean(axis=0),
    "max": lambda a: a.max(axis=0),
    "first": lambda a: a[0],
    "last": lambda a: a[-1],
}


class SavedHead:
    """head.safetensors as numpy arrays in double precision."""

    def __init__(self, folder: Path) -> None:
        with safe_open(folder / "head.safetensors", "numpy") as file:
            names: dict[str, str] = file.metadata()
            parts: dict[str, Any] = {k: file.get_tensor(k) for k in file.keys()}
        self.kinds = json.loads(names["kinds"])
        self.poolings = json.loads(names["poolings"])
        self.features = parts.pop("features")
        self.parts = {name: part.astype(np.float64) for name, part in parts.items()}

    def probabilities(self, X: np.ndarray) -> np.ndarray:
        """The softmax of bias + weight (x within the range - mean) / sd."""
        parts = self.parts
        x = np.minimum(np.maximum(X, parts["low"]), parts["high"])
        logits = (x - parts["mean"]) / parts["sd"] @ parts["weight"].T + parts["bias"]
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def values(self, hidden: dict[tuple[str, int], np.ndarray]) -> np.ndarray:
        """The pooled value of each feature of one text, from all its tokens."""
        out = np.empty(len(self.features))
        for place, (layer, kind, pooling, index) in enumerate(self.features):
            states = hidden[self.kinds[kind], int(layer)]
            out[place] = POOLINGS[self.poolings[pooling]](states[:, index])
        return out


class PlainBert:
    """A BERT and its tokenizer as transformers loads them, in one precision."""

    def __init__(self, folder: str, dtype: torch.dtype, max_length: int) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.model = AutoModel.from_pretrained(folder).eval().to(dtype)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.max_length = max_length

    @torch.no_grad()
    def hidden(self, text: str) -> dict[tuple[str, int], np.ndarray]:
        """States by (kind, layer), each (pos, width), in double precision."""
        found: dict[tuple[str, int], np.ndarray] = {}

        def watch(layer: int, module: nn.Module) -> Any:
            def note(_: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
                found["mlp", layer] = given[0][0].double().numpy()

            return module.register_forward_pre_hook(note)

        blocks = self.model.encoder.layer
        hooks = [watch(i + 1, block.output.dense) for i, block in enumerate(blocks)]
        given = self.tokenizer(
            text, truncation=True, max_length=self.max_length, return_tensors="pt"
        )
        out = self.model(**given, output_hidden_states=True)
        for hook in hooks:
            hook.remove()
        for layer, state in enumerate(out.hidden_states):
            found["resid", layer] = state[0].double().numpy()
        return found


def answers(model: PlainBert, head: SavedHead, texts: list[str]) -> np.ndarray:
    """Probabilities of texts, each read alone."""
    X = np.stack([head.values(model.hidden(text)) for text in texts])
    return head.probabilities(X)
