"""Hierarchical classifiers that were saved before December 2026.

The head of each coarse level is final: the next level chooses among the children of its
answer. They are opened and used as they were; new ones are not made. Their tuned
backbone contains the heads of the coarse levels, too, and passes their output to the
blocks above (class_guides.py).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from stc_core.activations.extract import extract_features
from stc_core.activations.features import dense_features
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers import persistence
from stc_core.classifiers.base import BaseClassifier
from stc_core.classifiers.hierarchical import TREE, WHOLE_FLOPS, HierarchicalClassifier
from stc_core.classifiers.label_tree import Descent, Tree, descend
from stc_core.classifiers.labelling.given_texts import Strings, check_texts
from stc_core.files import make_folder, read_json, replacing, write_json
from stc_core.heads.head import SparseHead
from stc_core.types import Progress, silent

_HEADS = "levels.safetensors"
_PARTS = ("mean", "sd", "weight", "bias")


class MaskedClassifier(HierarchicalClassifier):
    """Labels texts from coarse to fine; each label is the best child of the last one.

    Each of `heads_` scores the finest nodes at the layer of its level; the probability
    of a coarse node is the sum over the nodes below it. `temperatures_` holds one
    temperature for each level.
    """

    def __init__(
        self,
        backbone: Backbone,
        tree: Tree,
        heads: Sequence[SparseHead],
        columns: Sequence[str],
        *,
        temperatures: Sequence[float],
        whole_flops: int | None = None,
    ) -> None:
        layers = [head.layer for head in heads]
        super().__init__(
            backbone, tree, heads, columns, layers=layers, whole_flops=whole_flops
        )
        self.temperatures_ = (*temperatures, 1.0)

    def up_to(self, levels: int) -> HierarchicalClassifier:
        """A classifier for only the first `levels` levels, which runs fewer blocks."""
        shallower = super().up_to(levels)
        shallower.head_ = self.head_  # which explains them all
        return shallower

    def _paths(self, texts: Strings, progress: Progress = silent) -> Descent:
        """The predicted path of each text, for the first `levels_` levels.

        It takes one forward pass up to the layer of the finest of these levels. The
        answer at a level does not depend on how many levels are predicted.
        """
        heads = self.heads_[: self.levels_]
        features = [feature for head in heads for feature in head.features]
        X = extract_features(
            self.backbone_, check_texts(texts), features, progress=progress
        )
        ends = np.cumsum([len(head.features) for head in heads])[:-1]
        parts = np.split(X, ends, axis=1)
        logits = [
            self.tree_.grouped(level, head.logits(parts[level]))
            / self.temperatures_[level]
            for level, head in enumerate(heads)
        ]
        return descend(self.tree_, logits)

    def _deciding_layer(self, level: int) -> int:
        return self.layers_[level]

    def explain(self, text: str) -> dict[str, Any]:
        """The explanation of the finest level, and the answer at each level.

        Logits and their parts are those of the finest head. The label is the best child
        of the label above it, so another class may have a higher logit.
        """
        explanation = BaseClassifier.explain(self, text)
        answer = self.up_to(self.tree_.depth).answer([text])
        shares = answer.shares[-1][0]
        return explanation | {
            "label": self.head_.classes[answer.nodes[0, -1]],
            "probabilities": {
                name: float(share)
                for name, share in zip(self.head_.classes, shares, strict=True)
            },
            "levels": self.steps(text, answer),
        }

    def save(self, folder: Path, *, params: dict[str, Any]) -> Path:
        """Write the finest head as for other classifiers, and the levels beside it."""
        tensors = {
            f"{level}.{name}": np.ascontiguousarray(part, np.float32)
            for level, head in enumerate(self.heads_)
            for name, part in _parts_of(head).items()
        }
        make_folder(folder)
        with replacing(folder / _HEADS) as path:
            save_file(tensors, path)
        about = {
            "columns": self.columns_,
            "layers": self.layers_,
            "temperatures": self.temperatures_[:-1],
            **self.tree_.record(),
        }
        write_json(folder / TREE, about)
        return persistence.save_classifier(
            folder,
            self.head_,
            np.array(self.head_.classes),
            about=persistence.About.of(self.backbone_),
            params=params,
        )


def _parts_of(head: SparseHead) -> dict[str, np.ndarray]:
    """The arrays of a head by name, its range among them if it has one."""
    return {**{name: getattr(head, name) for name in _PARTS}, **head.range}


def open_masked(
    folder: str | Path,
    *,
    backbone: Backbone | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> MaskedClassifier:
    """The classifier that was saved in `folder`, on the backbone that was tuned."""
    folder = Path(folder)
    about = persistence.load_classifier(folder)[2]
    model = about.open(folder, backbone=backbone, device=device, progress=progress)
    record, tensors = read_json(folder / TREE), load_file(folder / _HEADS)
    tree = Tree.of(record)
    classes = tree.names(tree.depth - 1)
    heads = []
    for level, layer in enumerate(record["layers"]):
        parts = {
            name: tensors[f"{level}.{name}"]
            for name in (*_PARTS, "low", "high")
            if name in _PARTS or f"{level}.{name}" in tensors
        }
        features = dense_features(model, layer)
        heads.append(SparseHead(features, **parts, classes=classes))
    return MaskedClassifier(
        model,
        tree,
        heads,
        record["columns"],
        temperatures=record["temperatures"],
        whole_flops=record.get(WHOLE_FLOPS),
    )
