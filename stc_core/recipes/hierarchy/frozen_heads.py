"""A head for each level on the frozen backbone: seconds, where tuning takes minutes.

The finest level has the head of the sparse classifier, which reads all layers. A coarse
level has a dense ridge head on the blocks up to its layer. All of them are judged by
rows that they have not seen.
"""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from stc_core.classifiers.label_tree import Tree
from stc_core.classifiers.persistence import load_classifier
from stc_core.data.task import Read, Task
from stc_core.heads.head import SparseHead
from stc_core.heads.kernel_ridge import Block, joint_leave_one_out, joint_ridge
from stc_core.heads.least_squares import RIDGES, SHARPNESS
from stc_core.heads.path_heads import path_head, path_logits, weigh_levels
from stc_core.heads.ridge import fit_ridge_head
from stc_core.metrics.scores import accuracy, fit_temperature, last_best, macro_f1
from stc_core.runs.layout import RunFile
from stc_core.runs.writer import RunWriter
from stc_core.selection.folds import MOST_LEFT_OUT, digests, stratified_order
from stc_core.tuning.session import CHECKPOINTS
from stc_core.types import Feature, PooledSite

MODEL = "model"
MOST_COLUMNS = 8192
"""A dense head reads at most so many neurons, unless one site has more."""
MOST_FITTED = 4000
"""A dense head is fitted on at most so many rows: the time grows with their square."""
CURVE_ROWS = 1000
CURVE_RIDGES = (0.1, 1.0, 10.0)
"""The scores of all layers come from fewer rows and penalties: they are to be compared
with each other."""


class LayerScore(NamedTuple):
    """How well the blocks up to a layer tell the nodes of a level, by leave-one-out."""

    level: int
    layer: int
    accuracy: float
    macro_f1: float


class LevelHead(NamedTuple):
    """A calibrated head of one level, and its logits for rows that it has not seen.

    `rows` are positions among the rows of the features.
    """

    head: SparseHead
    rows: Int[np.ndarray, " m"]
    logits: Float[np.ndarray, "m n_node"]

    def at(self, rows: Int[np.ndarray, " some"]) -> "LevelHead":
        """The same head with the logits of some of its rows."""
        place = {row: number for number, row in enumerate(self.rows.tolist())}
        return self._replace(
            rows=rows, logits=self.logits[[place[row] for row in rows.tolist()]]
        )


class FrozenFeatures(NamedTuple):
    """Pooled activations of the frozen backbone that heads may read, by their sites."""

    read: Read
    sites: tuple[PooledSite, ...]
    widths: dict[PooledSite, int]

    def up_to(self, layer: int) -> list[PooledSite]:
        """The sites that a dense head on `layer` reads, in computing order.

        They are pooled by the mean if there are such ones, else in all ways. The
        highest ones come first, until they have MOST_COLUMNS neurons together.
        """
        means = [site for site in self.sites if site.pooling == "mean"]
        below = [site for site in means or self.sites if site.site.layer <= layer]
        below.sort(reverse=True)
        total = np.cumsum([self.widths[site] for site in below])
        return sorted(below[: max(1, int((total <= MOST_COLUMNS).sum()))])

    def blocks(self, layer: int) -> list[Block]:
        """The same sites as blocks of a joint ridge model."""
        return [
            Block(partial(self.read, site), self.widths[site])
            for site in self.up_to(layer)
        ]

    def dense(
        self, layer: int, rows: Int[np.ndarray, " some"]
    ) -> tuple[Float[np.ndarray, "some d"], list[Feature]]:
        """The values of the neurons of these sites that vary over the rows."""
        sites = self.up_to(layer)
        X = np.concatenate([self.read(site)[rows] for site in sites], axis=1)
        features = [
            Feature(site.site, site.pooling, index)
            for site in sites
            for index in range(self.widths[site])
        ]
        varies = np.flatnonzero(np.ptp(X, axis=0) > 0)
        return X[:, varies], [features[column] for column in varies.tolist()]

    def values(
        self, features: Sequence[Feature], rows: Int[np.ndarray, " some"]
    ) -> Float[np.ndarray, "some d"]:
        """The values of single neurons, which vary over the learned rows."""
        sites = [PooledSite(feature.site, feature.pooling) for feature in features]
        index = np.array([feature.index for feature in features], int)
        X = np.empty((len(rows), len(features)), np.float32)
        for site in dict.fromkeys(sites):
            own = np.array([other == site for other in sites])
            X[:, own] = self.read(site)[rows][:, index[own]]
        return X


def score_layers(
    features: FrozenFeatures, tasks: Sequence[Task], layers: Sequence[int]
) -> list[list[LayerScore]]:
    """For each level the scores of the blocks up to each of the layers."""
    found = []
    for level, task in enumerate(tasks):
        rows = stratified_order(task.codes, task.learned, seed=0)[:CURVE_ROWS]
        y, curve = task.codes[rows], []
        for layer in layers:
            tried = joint_leave_one_out(
                features.blocks(layer), task, rows, ridges=CURVE_RIDGES
            )
            best = last_best(np.array([task.score(rows, one) for one in tried]))
            guess = tried[best].argmax(axis=1)
            scores = accuracy(y, guess), macro_f1(y, guess)
            curve.append(LayerScore(level, layer, *scores))
        found.append(curve)
    return found


def fit_dense_level(features: FrozenFeatures, task: Task, layer: int) -> LevelHead:
    """The ridge head of a level on the blocks up to `layer`.

    Up to MOST_LEFT_OUT learned rows leave-one-out judges its penalty and gives the
    logits; a row whose text occurs twice is left out of them. With more rows the
    validation rows do, by a model of training rows.
    """
    blocks, learned = features.blocks(layer), task.learned
    if len(learned) <= MOST_LEFT_OUT:
        tried = joint_leave_one_out(blocks, task, learned, ridges=RIDGES)
        single = _single(features.read(features.up_to(layer)[-1])[learned])
        tried, judged = tried[:, single], learned[single]
    else:
        train = stratified_order(task.codes, task.train, seed=0)[:MOST_FITTED]
        judged = task.validation
        tried = joint_ridge(blocks, task, train, others=judged, ridges=RIDGES).scores
    best = last_best(np.array([task.score(judged, one) for one in tried]))
    logits = SHARPNESS * tried[best]
    temperature = fit_temperature(logits, task.codes[judged])
    rows = np.sort(stratified_order(task.codes, learned, seed=0)[:MOST_FITTED])
    X, kept = features.dense(layer, rows)
    part = task._replace(codes=task.codes[rows])
    head = fit_ridge_head(X, part, kept, rows=np.arange(len(X)), ridge=RIDGES[best])
    return LevelHead(head.cooled(temperature), judged, logits / temperature)


def _single(X: Float[np.ndarray, "n d"]) -> Int[np.ndarray, " some"]:
    """The rows of X that no other row equals; all rows, if there are no such ones."""
    _, place, count = np.unique(digests(X), return_inverse=True, return_counts=True)
    single = np.flatnonzero(count[place] == 1)
    return single if len(single) else np.arange(len(X))


def keep_sparse(writer: RunWriter) -> Path:
    """A folder with the model and the predictions of the sparse half of a run.

    They are copied, as the run replaces them: so one that is cut off while it does can
    go on. The copy goes with the checkpoints.
    """
    kept = writer.folder / CHECKPOINTS / "sparse"
    if not kept.is_dir():
        begun = kept.with_name("sparse.begun")
        shutil.rmtree(begun, ignore_errors=True)
        shutil.copytree(writer.folder / MODEL, begun / MODEL)
        shutil.copyfile(
            writer.folder / RunFile.PREDICTIONS, begun / RunFile.PREDICTIONS
        )
        begun.rename(kept)
    return kept


def sparse_level(
    folder: Path, tree: Tree, place: Int[np.ndarray, " n"]
) -> LevelHead | None:
    """The sparse classifier of a run as the head of the finest level.

    `folder` has its model and its predictions (see `keep_sparse`). `place` holds the
    position of each row of the corpus among those of the features, or -1. None if a
    label is the name of several nodes: then its classes are not the nodes.
    """
    names = tree.labels[-1]
    if len(set(names)) < len(names):
        return None
    head = load_classifier(folder / MODEL)[0]
    order = [head.classes.index(name) for name in names]
    frame = pd.read_parquet(folder / RunFile.PREDICTIONS)
    held = frame["held"].to_numpy(bool) & (place >= 0)
    if not held.any():  # the head has not seen the validation rows
        held = frame["split"].eq("validation").to_numpy() & (place >= 0)
    chances = frame.loc[held, [f"p:{name}" for name in names]].to_numpy(np.float64)
    head = head._replace(
        weight=head.weight[order],
        bias=head.bias[order],
        classes=tree.names(tree.depth - 1),
    )
    logits = np.log(np.maximum(chances, np.finfo(np.float32).tiny))
    return LevelHead(head, place[held], logits)


class CombinedLevels(NamedTuple):
    """A head for each level that decides whole paths, and the weights in it.

    `logits` are those of the finest head for `rows`, which no head has seen.
    """

    heads: tuple[SparseHead, ...]
    alphas: tuple[tuple[float, ...], ...]
    rows: Int[np.ndarray, " m"]
    logits: Float[np.ndarray, "m n_leaf"]


def combine_levels(
    tree: Tree, own: Sequence[LevelHead], tasks: Sequence[Task]
) -> CombinedLevels:
    """The heads of whole paths, with weights chosen by rows that no head has seen."""
    rows = own[0].rows
    for level in own[1:]:
        rows = np.intersect1d(rows, level.rows)
    logits = [level.at(rows).logits for level in own]
    heads, alphas, combined = [], [], logits[0]
    for level, task in enumerate(tasks):
        some, above = logits[: level + 1], tree.lineage(level)
        weighing = weigh_levels(
            above,
            some,
            task.codes[rows],
            weight=task.weights(rows),
            score=task.goal.score.of,
        )
        head = path_head(above, [one.head for one in own[: level + 1]], weighing.alphas)
        heads.append(head.cooled(weighing.temperature))
        alphas.append(weighing.alphas)
        combined = path_logits(above, some, weighing.alphas) / weighing.temperature
    return CombinedLevels(tuple(heads), tuple(alphas), rows, combined)
