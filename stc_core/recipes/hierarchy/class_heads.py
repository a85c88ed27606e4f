"""Tuning a backbone for several levels of labels, each read at a layer of its own.

Source: the idea of HdLM (arXiv 2507.12930). While the backbone is tuned, the head of
each coarse level is inside it and passes its answer to the blocks above. The finest
head is at the top and chooses among all leaves. It must beat the frozen backbone.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.activations.row_file import RowFile, write_rows
from stc_core.classifiers.hierarchical import HierarchicalClassifier
from stc_core.data.task import some_rows
from stc_core.display import percent
from stc_core.heads.head import SparseHead, rescale_head, value_range
from stc_core.heads.ridge import fit_best_ridge_head
from stc_core.metrics.scores import SAME_SCORE, fit_temperature
from stc_core.recipes.hierarchy.class_module import ClassHeadModule
from stc_core.recipes.hierarchy.frozen_heads import (
    CombinedLevels,
    LevelHead,
    combine_levels,
)
from stc_core.recipes.hierarchy.layer_probes import LevelProbe, task_of_rows
from stc_core.recipes.hierarchy.levels import Levels
from stc_core.recipes.hierarchy.training import (
    HierarchyTraining,
    LevelPlan,
    TrainedHierarchy,
)
from stc_core.selection.streaming import activation_blocks
from stc_core.tuning.session import keep_tuned
from stc_core.types import Feature

_VALUES = "tuned_values.npy"
"""A file of the run's folder that is gone when the run is done."""


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
    leaves = training.levels.tasks[-1]
    history = training.train(readout, backbone, leaves, name="hierarchy")
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


class TunedLevels(NamedTuple):
    """The tuned backbone with its heads, and the values of their neurons on all rows.

    `own` has the head of each level by itself, `combined` the heads of whole paths;
    both are judged by the validation rows.
    """

    trained: TrainedHierarchy
    own: tuple[LevelHead, ...]
    combined: CombinedLevels
    values: RowFile

    @property
    def features(self) -> list[Feature]:
        """The neurons of the columns of `values`: those of each level's layer."""
        return [f for head in self.trained.heads for f in head.features]

    def columns_of(self, head: SparseHead) -> Int[np.ndarray, " d"]:
        """The columns of `values` that a head reads."""
        place = {feature: number for number, feature in enumerate(self.features)}
        return np.array([place[feature] for feature in head.features], int)

    def write_values(self, classifier: HierarchicalClassifier, path: Path) -> RowFile:
        """Write the values of the neurons of the finest head alone."""
        columns = self.columns_of(classifier.head_)
        blocks = (X[:, columns] for _, X in self.values.blocks())
        return write_rows(path, blocks, n=self.values.n, width=len(columns))

    def test_logits(
        self, head: SparseHead, test: Int[np.ndarray, " n_test"]
    ) -> Float[np.ndarray, "n_test n_node"]:
        """The logits of a head for the test rows."""
        X = np.load(self.values.path, mmap_mode="r")[test]
        return head.logits(np.asarray(X[:, self.columns_of(head)], np.float32))


def tune_levels(
    training: HierarchyTraining, plan: LevelPlan, probes: Sequence[Sequence[LevelProbe]]
) -> TunedLevels:
    """Tune the backbone for all levels, and fit the heads of whole paths on it.

    The finest head is that of the training. Those of the coarse levels are ridge heads
    on the tuned layers. Test rows are read apart from the others.
    """
    levels, writer = training.levels, training.writer
    trained = train_class_heads(training, plan, probes)
    features = [f for head in trained.heads for f in head.features]
    n = len(training.corpus.texts)
    blocks = activation_blocks(
        trained.backbone,
        training.corpus.texts,
        features,
        groups=levels.tasks[0].groups,
        read=lambda site, rows: np.empty((0, 0), np.float32),
        known=np.full(n, -1),
        progress=writer.progress,
    )
    values = write_rows(writer.folder / _VALUES, blocks, n=n, width=len(features))
    own = _level_heads(trained, values, levels)
    combined = combine_levels(levels.tree, own, levels.tasks)
    return TunedLevels(trained, own, combined, values)


def _level_heads(
    trained: TrainedHierarchy, values: RowFile, levels: Levels
) -> tuple[LevelHead, ...]:
    """The calibrated head of each level by itself, with its logits for validation."""
    rows = some_rows(levels.tasks[0].train), levels.tasks[0].validation
    every = np.load(values.path, mmap_mode="r")
    ends = np.cumsum([len(head.features) for head in trained.heads])
    found = []
    for level, (task, old) in enumerate(zip(levels.tasks, trained.heads, strict=True)):
        own = slice(ends[level] - len(old.features), ends[level])
        X = np.concatenate([np.asarray(every[part, own], np.float32) for part in rows])
        learned, held = np.split(X, [len(rows[0])])
        if level < levels.depth - 1:
            part = task_of_rows(task, *rows)
            head = fit_best_ridge_head(X, part, old.features)
            head = head._replace(classes=task.classes)
        else:
            low, high = value_range(learned)
            head = rescale_head(old, learned)._replace(low=low, high=high)
            logits = head.logits(held)
            head = head.cooled(fit_temperature(logits, task.codes[rows[1]]))
        found.append(LevelHead(head, rows[1], head.logits(held)))
    return tuple(found)


class TuningVerdict(NamedTuple):
    """How many validation rows two classifiers get wholly right, and whether the tuned
    one is better by more than a standard error of the difference."""

    tuned: float
    frozen: float
    n: int
    tuned_is_better: bool

    @property
    def sentence(self) -> str:
        kept = "tuned" if self.tuned_is_better else "frozen"
        return (
            f"Whole paths right on {self.n:,} validation rows: tuned "
            f"{percent(self.tuned)}, frozen {percent(self.frozen)}. The {kept} model "
            "is kept."
        )


def compare_on_validation(
    tuned: CombinedLevels,
    frozen: CombinedLevels,
    rows: Int[np.ndarray, " m"],
    codes: Int[np.ndarray, " n"],
) -> TuningVerdict:
    """Which of two hierarchies is better on the rows that both were judged by.

    `rows` are those of `frozen` as positions in the corpus, as those of `tuned` are;
    `codes` are the leaves of all rows.
    """
    both, ours, theirs = np.intersect1d(tuned.rows, rows, return_indices=True)
    right = tuned.logits[ours].argmax(axis=1) == codes[both]
    before = frozen.logits[theirs].argmax(axis=1) == codes[both]
    gain = right.astype(float) - before
    # Under the hypothesis of no difference, as in McNemar's test.
    error = float((gain**2).mean() / len(gain)) ** 0.5
    is_better = bool(gain.mean() > error + SAME_SCORE)
    return TuningVerdict(
        float(right.mean()), float(before.mean()), len(both), is_better
    )
