"""Tuning a backbone for several levels of labels, each read at a layer of its own.

Source: the idea of HdLM (arXiv 2507.12930). The head of each coarse level is inside the
backbone and passes its answer to the blocks above. The finest head is at the top and
chooses among the children of the coarser answer.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.activations.extract import extract_features
from stc_core.activations.groups import blocks_in_order
from stc_core.activations.row_file import RowFile, block_rows, write_rows
from stc_core.classifiers.hierarchical import (
    HierarchicalClassifier,
    sibling_temperature,
)
from stc_core.data.task import some_rows
from stc_core.heads.head import SparseHead, rescale_head
from stc_core.recipes.hierarchy.class_module import ClassHeadModule
from stc_core.recipes.hierarchy.layer_probes import LevelProbe
from stc_core.recipes.hierarchy.levels import Levels
from stc_core.recipes.hierarchy.training import (
    HierarchyTraining,
    LevelPlan,
    TrainedHierarchy,
)
from stc_core.runs.layout import RunFile
from stc_core.selection.streaming import ranged_over
from stc_core.tuning.session import keep_tuned
from stc_core.types import Feature


def level_weights(levels: Levels) -> list[Float[np.ndarray, " _"]]:
    """For each level the weight of each node in the loss."""
    return [task.class_weights(task.train) for task in levels.tasks]


def train_class_heads(
    training: HierarchyTraining, plan: LevelPlan, probes: Sequence[Sequence[LevelProbe]]
) -> TrainedHierarchy:
    """Tune the backbone with its heads and keep it in the run's folder `backbone`."""
    tree, settings = training.levels.tree, training.settings
    tunable, what = training.prepared(plan, layer=plan.layers[-1], with_guides=True)
    backbone = tunable.backbone
    readout = ClassHeadModule(
        tunable,
        tree,
        [head_on(probes, level, layer) for level, layer in enumerate(plan.layers)],
        weights=plan.weights,
        class_weights=level_weights(training.levels),
    )
    codes = training.levels.codes[:, -1]
    history = training.train(readout, backbone, codes, name="hierarchy")
    kept = keep_tuned(
        training.writer.folder,
        what,
        readout.tuned_tensors(),
        backbone=backbone,
        dtype=settings.dtype,
    )
    heads, n_trainable = readout.level_heads(), readout.n_trainable()
    del tunable, readout, backbone
    return TrainedHierarchy(kept.open(), heads, history, n_trainable)


def head_on(
    probes: Sequence[Sequence[LevelProbe]], level: int, layer: int
) -> SparseHead:
    """The probe of the frozen layer, with which the head of a level begins."""
    return next(probe.head for probe in probes[level] if probe.layer == layer)


class LevelReadings(NamedTuple):
    """The logits of the coarse levels for every row, and the activations that the
    finest head reads."""

    coarse: tuple[Float[np.ndarray, "n _"], ...]
    finest: RowFile

    def logits(
        self, heads: Sequence[SparseHead], rows: Int[np.ndarray, " some"]
    ) -> list[Float[np.ndarray, "some _"]]:
        """Logits of every level on some rows."""
        values = np.load(self.finest.path, mmap_mode="r")
        top = heads[-1].logits(np.asarray(values[rows], np.float32))
        return [*(logits[rows] for logits in self.coarse), top]


def read_levels(
    trained: TrainedHierarchy, training: HierarchyTraining
) -> LevelReadings:
    """Read all levels in one pass over the texts; write the finest activations.

    Test rows are read apart from the others.
    """
    heads, texts, writer = trained.heads, training.corpus.texts, training.writer
    tree, groups = training.levels.tree, training.levels.tasks[0].groups
    features: list[Feature] = [f for head in heads for f in head.features]
    ends = np.cumsum([len(head.features) for head in heads])[:-1]
    n, width, n_done = len(texts), len(heads[-1].features), 0
    coarse = tuple(np.empty((n, m), np.float32) for m in tree.sizes[:-1])
    size = block_rows(len(features))

    def blocks_of(
        rows: Int[np.ndarray, " k"],
    ) -> Iterator[Float[np.ndarray, "_ width"]]:
        nonlocal n_done
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            X = extract_features(trained.backbone, texts.at(some), features)
            *inner, top = np.split(X, ends, axis=1)
            for level, x in enumerate(inner):
                coarse[level][some] = tree.grouped(level, heads[level].logits(x))
            n_done += len(some)
            writer.progress(n_done, n)
            yield top

    blocks = blocks_in_order(groups, blocks_of, size=size)
    finest = write_rows(writer.folder / RunFile.ACTIVATIONS, blocks, n=n, width=width)
    return LevelReadings(coarse, finest)


def finalise_hierarchy(
    trained: TrainedHierarchy, read: LevelReadings, levels: Levels
) -> tuple[HierarchicalClassifier, LevelReadings, list[float]]:
    """The classifier with a temperature for each level, from validation."""
    task, tree = levels.tasks[0], levels.tree
    values = np.load(read.finest.path, mmap_mode="r")
    some = np.asarray(values[some_rows(task.train)], np.float32)
    top = ranged_over(rescale_head(trained.heads[-1], some), read.finest, task.train)
    heads = [*trained.heads[:-1], top]
    held = read.logits(heads, task.validation)
    known = levels.codes[task.validation]
    temperatures = [
        sibling_temperature(tree, level, logits, known)
        for level, logits in enumerate(held)
    ]
    heads[-1] = heads[-1].cooled(temperatures[-1])
    coarse = tuple(x / t for x, t in zip(read.coarse, temperatures, strict=False))
    classifier = HierarchicalClassifier(
        trained.backbone, tree, heads, levels.columns, temperatures=temperatures[:-1]
    )
    return classifier, read._replace(coarse=coarse), temperatures
