"""A hierarchical classifier: each level of labels is read at its own layer.

The heads of the coarse levels are in the tuned backbone too, where they tell the
blocks above (guides.py); here they are read, so that a coarse answer runs the lower
blocks only.
"""

from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from safetensors.numpy import load_file, save_file
from scipy.optimize import minimize_scalar

from stc_core.activations.extract import extract_features
from stc_core.activations.features import dense_features
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers import persistence
from stc_core.classifiers.base import BaseClassifier, Strings, check_texts
from stc_core.classifiers.label_tree import Descent, Tree, descend
from stc_core.errors import StcError
from stc_core.files import read_json, replacing, write_json
from stc_core.heads.head import SparseHead
from stc_core.types import Progress, silent

TREE, HEADS = "tree.json", "levels.safetensors"
_PARTS = ("mean", "sd", "weight", "bias")


class HierarchicalClassifier(BaseClassifier):
    """Labels texts from coarse to fine, each level among the children of the last.

    Each of `heads_` scores the finest nodes on its level's layer; a coarse node is the
    sum of those under it. `head_` is the finest. `temperatures_` are those of the
    coarse levels, `columns_` name all. A class is a node of the finest level.
    """

    def __init__(
        self,
        backbone: Backbone,
        tree: Tree,
        heads: Sequence[SparseHead],
        columns: Sequence[str],
        *,
        temperatures: Sequence[float],
        layers: Sequence[int] = (),
    ) -> None:
        self.backbone_, self.tree_ = backbone, tree
        self.heads_, self.columns_ = tuple(heads), tuple(columns)
        self.temperatures_ = (*temperatures, 1.0)
        self.layers_ = tuple(layers) or tuple(head.layer for head in heads)
        if self.heads_:
            self.head_ = self.heads_[-1]
        self.levels_ = tree.depth

    @property
    def classes_(self) -> np.ndarray:
        """The nodes of the finest level that is answered."""
        return np.array(self.tree_.names(self.levels_ - 1))

    def up_to(self, levels: int) -> "HierarchicalClassifier":
        """The same that answers the first `levels` levels only, by fewer blocks."""
        depth = self.tree_.depth
        if not 1 <= levels <= depth:
            raise StcError("levels", expected=f"1 to {depth}", got=str(levels))
        found = copy(self)
        found.levels_ = levels
        return found

    def answer(self, texts: Strings, *, progress: Progress = silent) -> Descent:
        """The way down of each text, through the levels that are answered.

        One forward, up to the layer of the finest of them; what it says of a level does
        not depend on how many are asked for.
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

    def predict_proba(self, texts: Strings) -> Float[np.ndarray, "n n_class"]:
        """The probability of each path, a column for each of `classes_`."""
        return self.answer(texts).shares[-1]

    def predict(self, texts: Strings) -> np.ndarray:
        """The finest label on each text's way down."""
        return self.classes_[self.answer(texts).nodes[:, -1]]

    def _scores(self, texts: Strings) -> Float[np.ndarray, "n n_class"]:
        """The log-probability of each path, none as high as that of the way down.

        The best child of the best parent may be less probable than another class.
        """
        way = self.answer(texts)
        best = (np.arange(len(way.nodes)), way.nodes[:, -1])
        scores = np.log(np.maximum(way.shares[-1], np.finfo(float).tiny))
        label = scores[best]
        scores = np.minimum(scores, np.nextafter(label, -np.inf)[:, None])
        scores[best] = label
        return scores

    def level_columns(self, way: Descent | None) -> dict[str, np.ndarray]:
        """For each level, the label and its probability, as columns of a table."""
        found: dict[str, np.ndarray] = {}
        for level, column in enumerate(self.columns_[: self.levels_]):
            names = np.array(self.tree_.labels[level], dtype=object)
            nodes = np.empty(0, int) if way is None else way.nodes[:, level]
            chances = np.empty(0) if way is None else way.probabilities()[:, level]
            found[f"predicted_{column}"] = names[nodes]
            found[f"probability_{column}"] = chances
        return found

    def explain(self, text: str) -> dict[str, Any]:
        """The explanation of the finest level, and the answer of each level.

        The label is the best of the children of the level above, so another class may
        have a higher logit; logits and their parts are those of the finest head.
        """
        found = super().explain(text)
        way = self.up_to(self.tree_.depth).answer([text])
        shares = way.shares[-1][0]
        return found | {
            "label": self.head_.classes[way.nodes[0, -1]],
            "probabilities": {
                name: float(share)
                for name, share in zip(self.head_.classes, shares, strict=True)
            },
            "levels": self.steps(text, way),
        }

    def steps(self, text: str, way: Descent) -> list[dict[str, Any]]:
        """Each level's label and probability, its layer, and the compute up to there.

        FLOPs are those of all tokens of the text; the share is of the whole backbone.
        """
        backbone = self.backbone_
        n_tokens = len(backbone.tokenize([text]).ids[0])
        whole = max(backbone.flops_per_token(), 1)
        said = []
        for level, chances in enumerate(way.probabilities()[0]):
            layer = self.layers_[level]
            flops = backbone.flops_per_token(layer)
            said.append(
                {
                    "column": self.columns_[level],
                    "label": self.tree_.labels[level][way.nodes[0, level]],
                    "probability": float(chances),
                    "layer": layer,
                    "flops": flops * n_tokens,
                    "flops_share": flops / whole,
                }
            )
        return said

    def save(self, folder: Path, *, params: dict[str, Any]) -> Path:
        """Write the classifier as every run keeps it, and its levels beside it."""
        tensors = {
            f"{level}.{name}": np.ascontiguousarray(getattr(head, name), np.float32)
            for level, head in enumerate(self.heads_)
            for name in _PARTS
        }
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / HEADS) as path:
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


def open_hierarchical(
    folder: str | Path,
    *,
    backbone: Backbone | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> HierarchicalClassifier:
    """The classifier that `save` wrote to `folder`, on the backbone that was tuned."""
    folder = Path(folder)
    about = persistence.load_classifier(folder)[2]
    found = about.open(folder, backbone=backbone, device=device, progress=progress)
    record, tensors = read_json(folder / TREE), load_file(folder / HEADS)
    tree = Tree.of(record)
    classes = tree.names(tree.depth - 1)
    heads = []
    for level, layer in enumerate(record["layers"]):
        parts = {name: tensors[f"{level}.{name}"] for name in _PARTS}
        features = dense_features(found, layer)
        heads.append(SparseHead(features, **parts, classes=classes))
    temperatures = record["temperatures"]
    return HierarchicalClassifier(
        found, tree, heads, record["columns"], temperatures=temperatures
    )


def sibling_temperature(
    tree: Tree,
    level: int,
    logits: Float[np.ndarray, "n n_node"],
    codes: Int[np.ndarray, "n depth"],
) -> float:
    """The T in [1/20, 20] for which the softmax among true siblings has least log-loss.

    Targets are smoothed as in `metrics.fit_temperature`, whose value it has at the top
    level. Nodes without siblings say nothing; with no others T is 1.
    """
    parent = codes[:, level - 1] if level else np.zeros(len(codes), int)
    under = tree.children(level)[parent]  # (n, n_node)
    telling = (under.sum(axis=1) > 1) & (codes[:, level] >= 0)
    under, true = under[telling], codes[telling, level]
    Z = np.where(under, logits[telling].astype(np.float64), -np.inf)
    n = len(Z)
    if not n:
        return 1.0
    Z -= Z.max(axis=1, keepdims=True)
    doubt, right = 1 / (n + 2), Z[np.arange(n), true]
    others = np.where(under, Z, 0).sum(axis=1) - right
    target = (1 - doubt) * right + doubt * others / (under.sum(axis=1) - 1)

    def loss(log_t: float) -> float:
        scale = np.exp(-log_t)
        return float(np.mean(np.log(np.exp(Z * scale).sum(axis=1)) - target * scale))

    bound = float(np.log(20))
    options = {"xatol": 1e-6}
    found = minimize_scalar(
        loss, bounds=(-bound, bound), method="bounded", options=options
    )
    return float(np.exp(found.x))


def shallow(classifier: BaseClassifier, levels: int | None) -> BaseClassifier:
    """The classifier for the first `levels` levels only; the same if none are given."""
    if levels is None:
        return classifier
    if not isinstance(classifier, HierarchicalClassifier):
        raise StcError(
            "levels",
            expected="a run of the recipe hierarchy",
            got="one with a single level of labels",
            remedy="Leave it out.",
        )
    return classifier.up_to(levels)
