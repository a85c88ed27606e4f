"""A hierarchical classifier: each level of labels is read at its own layer.

The tuned backbone also contains the heads of the coarse levels and passes their output
to the blocks above (class_guides.py). Here these heads are read, so a coarse answer
runs only the lower blocks.
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
WHOLE_FLOPS = "whole_flops"
"""A field of tree.json in a bundle, whose backbone is a part of the trained one."""
_PARTS = ("mean", "sd", "weight", "bias")


class HierarchicalClassifier(BaseClassifier):
    """Labels texts from coarse to fine; each label is a child of the label before it.

    Each of `heads_` scores the finest nodes at the layer of its level; the probability
    of a coarse node is the sum over the nodes below it. `head_` is the head of the
    finest level. `temperatures_` holds one temperature for each level, `columns_` the
    name of each level. A class is a node of the finest level. `whole_flops_` are the
    FLOPs per token of the whole backbone, if this one is only a part of it.
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
        whole_flops: int | None = None,
    ) -> None:
        self.backbone_, self.tree_ = backbone, tree
        self.heads_, self.columns_ = tuple(heads), tuple(columns)
        self.temperatures_ = (*temperatures, 1.0)
        self.layers_ = tuple(layers) or tuple(head.layer for head in heads)
        if self.heads_:
            self.head_ = self.heads_[-1]
        self.levels_ = tree.depth
        self.whole_flops_ = whole_flops

    @property
    def top_layer(self) -> int:
        """The highest layer that any level reads; no block above it is run."""
        return max(self.layers_)

    @property
    def classes_(self) -> np.ndarray:
        """The nodes of the finest level that is predicted."""
        return np.array(self.tree_.names(self.levels_ - 1))

    def up_to(self, levels: int) -> "HierarchicalClassifier":
        """A classifier for only the first `levels` levels, which runs fewer blocks."""
        depth = self.tree_.depth
        if not 1 <= levels <= depth:
            raise StcError("levels", expected=f"1 to {depth}", got=str(levels))
        shallower = copy(self)
        shallower.levels_ = levels
        return shallower

    def answer(self, texts: Strings, *, progress: Progress = silent) -> Descent:
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

    def predict_proba(self, texts: Strings) -> Float[np.ndarray, "n n_class"]:
        """The probability of each path, a column for each of `classes_`."""
        return self.answer(texts).shares[-1]

    def predict(self, texts: Strings) -> np.ndarray:
        """The finest predicted label of each text."""
        return self.classes_[self.answer(texts).nodes[:, -1]]

    def _scores(self, texts: Strings) -> Float[np.ndarray, "n n_class"]:
        """The log-probability of each path, lowered so that the predicted one is best.

        The best child of the best parent may be less probable than another class.
        """
        answer = self.answer(texts)
        best = (np.arange(len(answer.nodes)), answer.nodes[:, -1])
        scores = np.log(np.maximum(answer.shares[-1], np.finfo(float).tiny))
        label = scores[best]
        scores = np.minimum(scores, np.nextafter(label, -np.inf)[:, None])
        scores[best] = label
        return scores

    def level_columns(self, way: Descent | None) -> dict[str, np.ndarray]:
        """The label and probability of each level, as columns of a table.

        The columns are empty if `way` is None.
        """
        columns: dict[str, np.ndarray] = {}
        for level, column in enumerate(self.columns_[: self.levels_]):
            names = np.array(self.tree_.labels[level], dtype=object)
            nodes = np.empty(0, int) if way is None else way.nodes[:, level]
            shares = np.empty(0) if way is None else way.probabilities()[:, level]
            columns[f"predicted_{column}"] = names[nodes]
            columns[f"probability_{column}"] = shares
        return columns

    def explain(self, text: str) -> dict[str, Any]:
        """The explanation of the finest level, and the answer at each level.

        Logits and their parts are those of the finest head. The label is the best child
        of the label above it, so another class may have a higher logit.
        """
        explanation = super().explain(text)
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

    def steps(self, text: str, way: Descent) -> list[dict[str, Any]]:
        """The label, probability and layer of each level, and the compute up to it.

        FLOPs are those of all tokens of the text. Their share is relative to the whole
        backbone.
        """
        backbone = self.backbone_
        n_tokens = len(backbone.tokenize([text]).ids[0])
        whole = max(self.whole_flops_ or backbone.flops_per_token(), 1)
        rows = []
        for level, probability in enumerate(way.probabilities()[0]):
            layer = self.layers_[level]
            flops = backbone.flops_per_token(layer)
            rows.append(
                {
                    "column": self.columns_[level],
                    "label": self.tree_.labels[level][way.nodes[0, level]],
                    "probability": float(probability),
                    "layer": layer,
                    "flops": flops * n_tokens,
                    "flops_share": flops / whole,
                }
            )
        return rows

    def save(self, folder: Path, *, params: dict[str, Any]) -> Path:
        """Write the finest head as for other classifiers, and the levels beside it."""
        tensors = {
            f"{level}.{name}": np.ascontiguousarray(part, np.float32)
            for level, head in enumerate(self.heads_)
            for name, part in _parts_of(head).items()
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


def _parts_of(head: SparseHead) -> dict[str, np.ndarray]:
    """The arrays of a head by name, its range among them if it has one."""
    return {**{name: getattr(head, name) for name in _PARTS}, **head.range}


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
    model = about.open(folder, backbone=backbone, device=device, progress=progress)
    record, tensors = read_json(folder / TREE), load_file(folder / HEADS)
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
    return HierarchicalClassifier(
        model,
        tree,
        heads,
        record["columns"],
        temperatures=record["temperatures"],
        whole_flops=record.get(WHOLE_FLOPS),
    )


def sibling_temperature(
    tree: Tree,
    level: int,
    logits: Float[np.ndarray, "n n_node"],
    codes: Int[np.ndarray, "n depth"],
) -> float:
    """The T in [1/20, 20] with the lowest log-loss of the softmax among true siblings.

    Targets are smoothed as in `metrics.fit_temperature`, which gives the same T at the
    top level. Rows whose node has no siblings are left out; if no row is left, T is 1.
    """
    parent = codes[:, level - 1] if level else np.zeros(len(codes), int)
    under = tree.children(level)[parent]  # (n, n_node)
    usable = (under.sum(axis=1) > 1) & (codes[:, level] >= 0)
    under, true = under[usable], codes[usable, level]
    Z = np.where(under, logits[usable].astype(np.float64), -np.inf)
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
    minimum = minimize_scalar(
        loss, bounds=(-bound, bound), method="bounded", options=options
    )
    return float(np.exp(minimum.x))


def limit_levels(classifier: BaseClassifier, levels: int | None) -> BaseClassifier:
    """The classifier for the first `levels` levels only; unchanged if `levels` is None.

    Raises StcError if the classifier has no levels.
    """
    if levels is None:
        return classifier
    if not isinstance(classifier, HierarchicalClassifier):
        raise StcError(
            "levels",
            expected="a run of the recipe hierarchy",
            got="a run with a single level of labels",
            remedy="Leave levels out.",
        )
    return classifier.up_to(levels)
