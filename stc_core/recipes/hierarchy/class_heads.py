"""Tuning a backbone for several levels of labels, each read at a layer of its own.

Source: the idea of HdLM (arXiv 2507.12930). A head for each coarse level is inside the
backbone and tells the blocks above what it sees; the finest is on top and chooses among
the children of what was decided below.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.activations.extract import extract_features
from stc_core.activations.row_file import Rows, block_rows, write_rows
from stc_core.classifiers.hierarchical import (
    HierarchicalClassifier,
    sibling_temperature,
)
from stc_core.data.task import some_rows
from stc_core.heads.head import SparseHead, rescaled
from stc_core.recipes.hierarchy.class_module import ClassHeadModule
from stc_core.recipes.hierarchy.layer_probes import LevelProbe
from stc_core.recipes.hierarchy.levels import Levels
from stc_core.recipes.hierarchy.training import (
    HierarchyTraining,
    Plan,
    TrainedHierarchy,
)
from stc_core.tuning.session import class_weights_of, keep_tuned
from stc_core.types import Feature


def class_weights(levels: Levels) -> list[Float[np.ndarray, " _"] | None]:
    """For each level the weight of each node in the loss, None where all are alike."""
    return [class_weights_of(task) for task in levels.tasks]


def train_class_heads(
    course: HierarchyTraining, plan: Plan, rungs: Sequence[Sequence[LevelProbe]]
) -> TrainedHierarchy:
    """The tuned backbone with its heads, kept in the run's folder `backbone`."""
    tree, settings = course.levels.tree, course.settings
    graft, what = course.prepared(plan, layer=plan.layers[-1], with_guides=True)
    backbone = graft.backbone
    readout = ClassHeadModule(
        graft,
        tree,
        [head_on(rungs, level, layer) for level, layer in enumerate(plan.layers)],
        weights=plan.weights,
        class_weights=class_weights(course.levels),
    )
    codes = course.levels.codes[:, -1]
    history = course.train(readout, backbone, codes, name="hierarchy")
    kept = keep_tuned(
        course.writer.folder,
        what,
        readout.tuned_tensors(),
        backbone=backbone,
        dtype=settings.dtype,
    )
    heads, n_trainable = readout.level_heads(), readout.n_trainable()
    del graft, readout, backbone
    return TrainedHierarchy(kept.open(), heads, history, n_trainable)


def head_on(
    rungs: Sequence[Sequence[LevelProbe]], level: int, layer: int
) -> SparseHead:
    """The probe on a frozen layer that a level begins with."""
    return next(rung.head for rung in rungs[level] if rung.layer == layer)


class LevelReadings(NamedTuple):
    """What the heads say of every row: logits of the nodes of the coarse levels, and
    the activations under the finest head."""

    coarse: tuple[Float[np.ndarray, "n _"], ...]
    finest: Rows

    def logits(
        self, heads: Sequence[SparseHead], rows: Int[np.ndarray, " some"]
    ) -> list[Float[np.ndarray, "some _"]]:
        """Logits of every level on some rows."""
        values = np.load(self.finest.path, mmap_mode="r")
        top = heads[-1].logits(np.asarray(values[rows], np.float32))
        return [*(logits[rows] for logits in self.coarse), top]


def read_levels(climbed: TrainedHierarchy, course: HierarchyTraining) -> LevelReadings:
    """One pass over all texts; the finest activations are written to the run."""
    heads, texts, writer = climbed.heads, course.corpus.texts, course.writer
    tree = course.levels.tree
    features: list[Feature] = [f for head in heads for f in head.features]
    ends = np.cumsum([len(head.features) for head in heads])[:-1]
    coarse: list[list[np.ndarray]] = [[] for _ in heads[:-1]]
    n, width = len(texts), len(heads[-1].features)

    def blocks():
        size = block_rows(len(features))
        for start in range(0, n, size):
            places = np.arange(start, min(start + size, n))
            X = extract_features(climbed.backbone, texts.at(places), features)
            *inner, top = np.split(X, ends, axis=1)
            for level, x in enumerate(inner):
                coarse[level].append(tree.grouped(level, heads[level].logits(x)))
            yield top
            writer.progress(int(places[-1]) + 1, n)

    finest = write_rows(writer.folder / "activations.npy", blocks(), n=n, width=width)
    return LevelReadings(tuple(np.concatenate(parts) for parts in coarse), finest)


def finalise_hierarchy(
    climbed: TrainedHierarchy, read: LevelReadings, levels: Levels
) -> tuple[HierarchicalClassifier, LevelReadings, list[float]]:
    """The classifier with a temperature for each level, from validation."""
    task, tree = levels.tasks[0], levels.tree
    values = np.load(read.finest.path, mmap_mode="r")
    some = np.asarray(values[some_rows(task.train)], np.float32)
    heads = [*climbed.heads[:-1], rescaled(climbed.heads[-1], some)]
    held = read.logits(heads, task.validation)
    known = levels.codes[task.validation]
    temperatures = [
        sibling_temperature(tree, level, logits, known)
        for level, logits in enumerate(held)
    ]
    heads[-1] = heads[-1].cooled(temperatures[-1])
    coarse = tuple(x / t for x, t in zip(read.coarse, temperatures, strict=False))
    cascade = HierarchicalClassifier(
        climbed.backbone, tree, heads, levels.columns, temperatures=temperatures[:-1]
    )
    return cascade, read._replace(coarse=coarse), temperatures
