"""A hierarchical classifier: each level of labels is read up to its own layer.

A full answer weighs the heads of all levels together (path_heads.py). A coarse answer
is that of the coarse head alone, and runs only the lower blocks.
"""

from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from stc_core.backbone.backbone import Backbone
from stc_core.classifiers import persistence
from stc_core.classifiers.base import BaseClassifier
from stc_core.classifiers.label_tree import Descent, Tree, best_paths
from stc_core.classifiers.labelling.given_texts import Strings
from stc_core.errors import StcError
from stc_core.files import make_folder, read_json, write_json
from stc_core.heads.head import SparseHead, softmax
from stc_core.heads.head_file import load_heads, save_heads
from stc_core.types import Progress, silent

TREE, LEVEL_HEAD = "tree.json", "level_{}.safetensors"
WHOLE_FLOPS = "whole_flops"
"""A field of tree.json in a bundle, whose backbone is a part of the trained one."""


class HierarchicalClassifier(BaseClassifier):
    """Labels texts with paths of labels, coarse to fine.

    `heads_` has a head for each level, whose classes are the nodes of that level. The
    head of a level already weighs the coarser heads with `alphas_`, a weight for each
    coarser level (see `path_heads.path_head`), so each head decides whole paths down to
    its level. It reads no block above `layers_` of its level. `head_` is the head of
    the finest level that is predicted, and a class is a node of that level. `columns_`
    holds the name of each level. `whole_flops_` are the FLOPs per token of the whole
    backbone, if this one is only a part of it.
    """

    def __init__(
        self,
        backbone: Backbone,
        tree: Tree,
        heads: Sequence[SparseHead],
        columns: Sequence[str],
        *,
        layers: Sequence[int],
        alphas: Sequence[Sequence[float]] = (),
        whole_flops: int | None = None,
    ) -> None:
        self.backbone_, self.tree_ = backbone, tree
        self.heads_, self.columns_ = tuple(heads), tuple(columns)
        self.layers_ = tuple(layers)
        self.alphas_ = tuple(tuple(of_level) for of_level in alphas)
        if self.heads_:
            self.head_ = self.heads_[-1]
        self.levels_ = tree.depth
        self.least_ = 0.0
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
        if self.heads_:
            shallower.head_ = self.heads_[levels - 1]
        return shallower

    def coarse_below(self, least: float) -> "HierarchicalClassifier":
        """A classifier that answers a coarser level where a finer one is not sure.

        Each text gets the most probable label of the finest level at which that has at
        least the probability `least`. The probability of a coarse label is the sum over
        the labels below it.
        """
        if not 0 <= least <= 1:
            raise StcError("least probability", expected="0 to 1", got=str(least))
        cautious = copy(self)
        cautious.least_ = least
        return cautious

    def answer(self, texts: Strings, *, progress: Progress = silent) -> Descent:
        """The predicted path of each text, for the first `levels_` levels.

        It takes one forward pass up to the layer of the finest of these levels. With
        more levels a coarse label may be another one, as finer heads are heard, too. A
        node is -1 where a level is not answered (see `coarse_below`).
        """
        way = self._paths(texts, progress)
        return way.coarse_where_unsure(self.tree_, self.least_) if self.least_ else way

    def _paths(self, texts: Strings, progress: Progress = silent) -> Descent:
        """The paths down to the finest predicted level."""
        shares = softmax(self.logits(texts, progress=progress).astype(np.float64))
        return best_paths(self.tree_, self.levels_ - 1, shares)

    def finest_labels(self, way: Descent) -> np.ndarray:
        """The name of the finest node that each text is answered with."""
        labels = np.empty(len(way.nodes), object)
        for level in range(way.nodes.shape[1]):
            rows = np.flatnonzero(way.nodes[:, level] >= 0)
            names = np.array(self.tree_.names(level), object)
            labels[rows] = names[way.nodes[rows, level]]
        return labels

    def predict_proba(self, texts: Strings) -> Float[np.ndarray, "n n_class"]:
        """The probability of each path, a column for each of `classes_`."""
        return self.answer(texts).shares[-1]

    def predict(self, texts: Strings) -> np.ndarray:
        """The finest predicted label of each text."""
        return self.finest_labels(self.answer(texts)).astype(str)

    def _scores(self, texts: Strings) -> Float[np.ndarray, "n n_class"]:
        """The log-probability of each path, lowered so that the predicted one is best.

        Where labels are decided one after another, the predicted path may be less
        probable than another one.
        """
        answer = self._paths(texts)
        best = (np.arange(len(answer.nodes)), answer.nodes[:, -1])
        scores = np.log(np.maximum(answer.shares[-1], np.finfo(float).tiny))
        label = scores[best]
        scores = np.minimum(scores, np.nextafter(label, -np.inf)[:, None])
        scores[best] = label
        return scores

    def level_columns(self, way: Descent | None) -> dict[str, np.ndarray]:
        """The label and probability of each level, as columns of a table.

        The columns are empty if `way` is None. A label is None where a level is not
        answered, and its probability is not a number.
        """
        columns: dict[str, np.ndarray] = {}
        for level, column in enumerate(self.columns_[: self.levels_]):
            names = np.array([*self.tree_.labels[level], None], dtype=object)
            nodes = np.empty(0, int) if way is None else way.nodes[:, level]
            shares = np.empty(0) if way is None else way.probabilities()[:, level]
            columns[f"predicted_{column}"] = names[nodes]
            columns[f"probability_{column}"] = np.where(nodes < 0, np.nan, shares)
        return columns

    def explain(self, text: str) -> dict[str, Any]:
        """The explanation of the path, and the answer at each level.

        Its logits are the combined scores of the finest predicted level: those of its
        own head, and alpha_d times those of each coarser head d for the node's parent.
        All of these heads are linear, so their sum is one linear head, and a neuron's
        contribution is the sum of what it adds to each of them. With the bias the
        contributions sum to the combined logits, and their softmax gives the
        probabilities of the paths.
        """
        explanation = super().explain(text)
        shares = np.array([list(explanation["probabilities"].values())])
        way = best_paths(self.tree_, self.levels_ - 1, shares)
        return explanation | {"levels": self.steps(text, way)}

    def steps(self, text: str, way: Descent) -> list[dict[str, Any]]:
        """The label and probability of each answered level, the layer that decides it,
        and the compute up to there.

        All levels of an answer are decided together, at the layer of the finest one.
        FLOPs are those of all tokens of the text. Their share is relative to the whole
        backbone.
        """
        backbone = self.backbone_
        n_tokens = len(backbone.tokenize([text]).ids[0])
        whole = max(self.whole_flops_ or backbone.flops_per_token(), 1)
        rows = []
        for level, probability in enumerate(way.probabilities()[0]):
            if way.nodes[0, level] < 0:
                break
            layer = self._deciding_layer(level)
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

    def _deciding_layer(self, level: int) -> int:
        """The layer up to which the blocks run before the label of a level is known."""
        return self.layers_[self.levels_ - 1]

    def save(self, folder: Path, *, params: dict[str, Any]) -> Path:
        """Write the finest head as for other classifiers, and the levels beside it."""
        make_folder(folder)
        for level, head in enumerate(self.heads_[:-1]):
            save_heads(folder / LEVEL_HEAD.format(level + 1), [head])
        about = {
            "columns": self.columns_,
            "layers": self.layers_,
            "alphas": self.alphas_,
            **self.tree_.record(),
        }
        write_json(folder / TREE, about)
        head = self.heads_[-1]
        return persistence.save_classifier(
            folder,
            head,
            np.array(head.classes),
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
    """The classifier that `save` wrote to `folder`, on the backbone of its training."""
    folder = Path(folder)
    record = read_json(folder / TREE)
    finest, _, about, _ = persistence.load_classifier(folder)
    model = about.open(folder, backbone=backbone, device=device, progress=progress)
    tree = Tree.of(record)
    where, coarse = f"classifier {str(folder)!r}", []
    for level in range(tree.depth - 1):
        path = folder / LEVEL_HEAD.format(level + 1)
        coarse += load_heads(path, tree.names(level), where=where)
    return HierarchicalClassifier(
        model,
        tree,
        [*coarse, finest],
        record["columns"],
        layers=record["layers"],
        alphas=record["alphas"],
        whole_flops=record.get(WHOLE_FLOPS),
    )


def limit_levels(
    classifier: BaseClassifier, levels: int | None, least: float | None = None
) -> BaseClassifier:
    """The classifier for the first `levels` levels only, coarser where it is not sure.

    `least` is that of `coarse_below`. What is None changes nothing. Raises StcError if
    the classifier has no levels.
    """
    if levels is None and least is None:
        return classifier
    if not isinstance(classifier, HierarchicalClassifier):
        what = "levels" if least is None else "least probability"
        raise StcError(
            what,
            expected="a run of the recipe hierarchy",
            got="a run with a single level of labels",
            remedy=f"Leave {what} out.",
        )
    limited = classifier if levels is None else classifier.up_to(levels)
    return limited if least is None else limited.coarse_below(least)
