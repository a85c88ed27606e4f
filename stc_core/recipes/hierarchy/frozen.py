"""The hierarchy on the frozen backbone: layers, heads, files, and its own baselines."""

import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from stc_core.activations.extract import extract_features
from stc_core.activations.groups import extract_groups
from stc_core.activations.row_file import write_rows
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.hierarchical import HierarchicalClassifier
from stc_core.data.task import Task
from stc_core.heads.head import SparseHead
from stc_core.recipes.hierarchy.baselines import LevelGuess
from stc_core.recipes.hierarchy.frozen_heads import (
    CURVE_ROWS,
    CombinedLevels,
    FrozenFeatures,
    LayerScore,
    LevelHead,
    combine_levels,
    fit_dense_level,
    keep_sparse,
    score_layers,
    sparse_level,
)
from stc_core.recipes.hierarchy.layer_probes import (
    COARSE_TOLERANCE,
    checked_layers,
    layers_of_stack,
    level_nu,
    level_probe_table,
    proposed_layers,
)
from stc_core.recipes.hierarchy.results import write_head_files, write_path_predictions
from stc_core.recipes.hierarchy.training import HierarchyTraining
from stc_core.recipes.results import estimator, task_of
from stc_core.runs.layout import RunFile
from stc_core.selection.sample import Sample, draw_sample
from stc_core.selection.streaming import activation_blocks


class FrozenHierarchy(NamedTuple):
    """What was fitted on the frozen backbone, and what it was fitted on.

    `own` has the head of each level by itself, `combined` the heads of whole paths.
    """

    backbone: Backbone
    sample: Sample
    tasks: tuple[Task, ...]
    features: FrozenFeatures
    own: tuple[LevelHead, ...]
    combined: CombinedLevels
    layers: tuple[int, ...]
    seconds: float

    def values(
        self, training: HierarchyTraining, head: SparseHead
    ) -> Float[np.ndarray, "n_test d"]:
        """The neurons of a head on all test texts."""
        test = training.corpus.rows("test")
        if self.sample.is_whole:
            return self.features.values(head.features, test)
        texts = list(training.corpus.texts.at(test))
        return extract_features(self.backbone, texts, head.features)

    def test_logits(
        self, training: HierarchyTraining, head: SparseHead
    ) -> Float[np.ndarray, "n_test n_node"]:
        """The logits of a head for all test texts."""
        return head.logits(self.values(training, head))

    def classifier(self, training: HierarchyTraining) -> HierarchicalClassifier:
        levels = training.levels
        return HierarchicalClassifier(
            self.backbone,
            levels.tree,
            self.combined.heads,
            levels.columns,
            layers=self.layers,
            alphas=self.combined.alphas,
        )


def fit_frozen(training: HierarchyTraining, base: Backbone) -> FrozenHierarchy:
    """Fit a head for each level, and combine them; write the scores of the layers."""
    start = time.perf_counter()
    corpus, levels, settings, writer = training
    writer.phase("head", message="a head for each level of labels")
    unfitted = estimator(settings)
    wanted = unfitted.wanted(base)
    sample = draw_sample(
        corpus.texts,
        task_of(corpus, settings),
        corpus.rows("test"),
        extract=partial(
            extract_groups, base, wanted=wanted, store_dtype=settings.store_dtype
        ),
        seed=settings.seed,
    )
    read = sample.resolved(base.dtype)
    features = FrozenFeatures(read, tuple(wanted), sample.store.widths)
    tasks = tuple(
        task._replace(
            codes=task.codes[sample.rows],
            train=sample.task.train,
            validation=sample.task.validation,
        )
        for task in levels.tasks
    )
    place = sample.known(len(corpus.texts))
    top = sparse_level(keep_sparse(writer), levels.tree, place)
    stack = [n for n in layers_of_stack(base) if n <= max(s.site.layer for s in wanted)]
    curves = score_layers(features, tasks, stack)
    layers = frozen_layers(training, base, curves, top)
    if top is None or top.head.layer > layers[-1]:
        top = fit_dense_level(features, tasks[-1], layers[-1])
    coarse = zip(tasks[:-1], layers, strict=False)
    own = (*(fit_dense_level(features, task, k) for task, k in coarse), top)
    combined = combine_levels(levels.tree, own, tasks)
    table = level_probe_table(
        curves,
        levels,
        n=min(len(sample.task.learned), CURVE_ROWS),
        nu=level_nu(sample.store.read, tasks, base, wanted),
        layers=layers,
    )
    writer.write_frame(RunFile.LEVELS, table)
    seconds = time.perf_counter() - start
    return FrozenHierarchy(
        base, sample, tasks, features, own, combined, layers, seconds
    )


def frozen_layers(
    training: HierarchyTraining,
    base: Backbone,
    curves: Sequence[Sequence[LayerScore]],
    top: LevelHead | None,
) -> tuple[int, ...]:
    """The layers that the user asked for; else the lowest that do as well as any.

    The finest level is at the layer of the sparse classifier, or at the highest one.
    """
    levels, wish = training.levels, training.settings.hierarchy
    if wish.layers:
        return checked_layers(wish.layers, base, levels.depth)
    if top is not None:
        least = curves[0][0].layer + levels.depth - 1
        highest = max(top.head.layer, least)
        curves = [[s for s in curve if s.layer <= highest] for curve in curves]
    n = len(training.levels.tasks[0].validation)
    return proposed_layers(curves, n, tolerance=COARSE_TOLERANCE)


def write_frozen(frozen: FrozenHierarchy, training: HierarchyTraining) -> None:
    """Write the classifier, its neurons, and the predictions of all rows.

    Rows that chose something are answered by heads that have not seen them, as in the
    sparse half of the run.
    """
    corpus, sample = training.corpus, frozen.sample
    classifier, n = frozen.classifier(training), len(corpus.texts)
    write_head_files(classifier, training)
    head = classifier.head_
    blocks = activation_blocks(
        frozen.backbone,
        corpus.texts,
        head.features,
        groups=training.levels.tasks[0].groups,
        read=sample.store.read,
        known=sample.known(n),
        progress=training.writer.progress,
    )
    path = training.writer.folder / RunFile.ACTIVATIONS
    activations = write_rows(path, blocks, n=n, width=len(head.features))
    write_path_predictions(
        classifier,
        activations,
        training,
        unseen=sample.rows[frozen.combined.rows],
        logits=frozen.combined.logits,
    )


def frozen_baselines(
    frozen: FrozenHierarchy, training: HierarchyTraining
) -> dict[str, LevelGuess]:
    """The finest head alone, a head for each level on top, and the heads as they are.

    `flat` is the head of the finest level with all other weights at 0.
    """
    own, levels = frozen.own, training.levels
    alone = [frozen.test_logits(training, level.head).argmax(axis=1) for level in own]
    flat = [levels.tree.ancestors(level)[alone[-1]] for level in range(levels.depth)]
    start, top = time.perf_counter(), frozen.layers[-1]
    separate = [
        frozen.test_logits(
            training, fit_dense_level(frozen.features, task, top).head
        ).argmax(axis=1)
        for task in frozen.tasks[:-1]
    ]
    places = ", ".join(map(str, frozen.layers))
    return {
        "flat": LevelGuess(np.stack(flat, axis=1), f"frozen layer {top}", 0.0),
        "separate": LevelGuess(
            np.stack([*separate, alone[-1]], axis=1),
            f"{levels.depth} heads, frozen layer {top}",
            time.perf_counter() - start,
        ),
        "inner_probe": LevelGuess(
            np.stack(alone, axis=1), f"frozen layers {places}", 0.0
        ),
    }
