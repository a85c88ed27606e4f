"""What a hierarchical classifier of any kind writes to its run: tables and scores."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from stc_core.activations.row_file import RowFile
from stc_core.classifiers.estimator import SparsifyThenClassify
from stc_core.classifiers.hierarchical import HierarchicalClassifier
from stc_core.classifiers.label_tree import Descent, best_paths
from stc_core.data.checks import level_names
from stc_core.heads.head import softmax
from stc_core.metrics.scores import (
    accuracy,
    expected_calibration_error,
    log_loss,
    macro_f1,
)
from stc_core.recipes.hierarchy.baselines import path_scores
from stc_core.recipes.hierarchy.training import HierarchyTraining
from stc_core.recipes.tables import neuron_table
from stc_core.runs.layout import RunFile
from stc_core.selection.streaming import logit_blocks


def write_head_files(
    classifier: HierarchicalClassifier, training: HierarchyTraining
) -> None:
    """Write the classifier, and the neurons of its finest head."""
    writer, settings = training.writer, training.settings
    wanted = set(SparsifyThenClassify().get_params()) - {"backbone"}
    classifier.save(
        writer.folder / "model", params=settings.model_dump(mode="json", include=wanted)
    )
    writer.write_frame(RunFile.NEURONS, neuron_table(classifier.head_))


def path_of(
    training: HierarchyTraining, logits: Float[np.ndarray, "n n_leaf"]
) -> Descent:
    """The whole paths by the logits of the leaves."""
    tree = training.levels.tree
    return best_paths(tree, tree.depth - 1, softmax(logits.astype(np.float64)))


def write_path_predictions(
    classifier: HierarchicalClassifier,
    activations: RowFile,
    training: HierarchyTraining,
    *,
    unseen: Int[np.ndarray, " m"] | None = None,
    logits: Float[np.ndarray, "m n_leaf"] | None = None,
) -> None:
    """Write the predictions of all rows, from the values of the finest head's neurons.

    The rows `unseen` are answered by `logits`, those of heads that have not seen them.
    """
    place = np.full(activations.n, -1)
    if unseen is not None:
        place[unseen] = np.arange(len(unseen))

    def frames() -> Iterator[pd.DataFrame]:
        start, groups = 0, training.levels.tasks[0].groups
        for found in logit_blocks(activations, classifier.head_, groups):
            rows = np.arange(start, start := start + len(found))
            held = place[rows]
            if logits is not None:
                found[held >= 0] = logits[held[held >= 0]]
            way = path_of(training, found)
            frame = prediction_frame(classifier, way, training, rows)
            yield frame.assign(held=held >= 0)

    training.writer.write_frames(RunFile.PREDICTIONS, frames())


def prediction_frame(
    classifier: HierarchicalClassifier,
    way: Descent,
    training: HierarchyTraining,
    rows: Int[np.ndarray, " some"],
) -> pd.DataFrame:
    """The predictions of some rows, with columns for the coarser levels."""
    classes = classifier.classes_.astype(object)
    predicted, chances = classes[way.nodes[:, -1]], way.probabilities()
    label = finest_labels(training, rows)
    frame = {
        "row": rows,
        "split": training.corpus.frame["split"].to_numpy()[rows],
        "label": label,
        "predicted": predicted,
        "probability": chances[:, -1],
        "correct": predicted == label,
    }
    for level in range(training.levels.depth):
        names = np.array(classifier.tree_.labels[level], dtype=object)
        frame[f"predicted_{level + 1}"] = names[way.nodes[:, level]]
        frame[f"probability_{level + 1}"] = chances[:, level]
    names = [f"p:{name}" for name in classes]
    shares = way.shares[-1].astype(np.float32)
    each = pd.DataFrame(shares, columns=pd.Index(names))
    return pd.concat([pd.DataFrame(frame), each], axis=1)


def finest_labels(
    training: HierarchyTraining, rows: Int[np.ndarray, " some"]
) -> np.ndarray:
    """The name of each row's finest node, or its label if the path is not known."""
    levels = training.levels
    names = np.array(levels.tree.names(levels.depth - 1), dtype=object)
    codes = levels.codes[rows, -1]
    return np.where(
        codes >= 0, names[codes], training.corpus.labels[rows].astype(object)
    )


def level_metrics(
    classifier: HierarchicalClassifier,
    training: HierarchyTraining,
    way: Descent,
    held: tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]],
) -> dict[str, Any]:
    """Scores of the answers to test rows, for each level and for whole paths.

    `held` has the rows that chose something, and the leaf that each was given.
    """
    levels, corpus = training.levels, training.corpus
    rows = corpus.rows("test")
    true = levels.codes[rows]
    ours = path_scores(levels, true, way.nodes)
    del ours["detail"]
    known = true[:, -1] >= 0
    leaf, shares = true[known, -1], way.shares[-1][known]
    y, guess = levels.codes[held[0], -1], held[1]
    return {
        "classes": [str(name) for name in classifier.classes_],
        "test": {
            **ours,
            "n": len(rows),
            "ece": expected_calibration_error(leaf, shares),
            "log_loss": log_loss(leaf, shares),
            "levels": _level_scores(training, way, rows),
        },
        "validation": {
            "accuracy": accuracy(y, guess),
            "macro_f1": macro_f1(y, guess),
            "n": len(y),
        },
    }


def _level_scores(
    training: HierarchyTraining, way: Descent, rows: Int[np.ndarray, " some"]
) -> list[dict[str, Any]]:
    """Accuracy and macro-F1 of the labels of each level, coarse to fine."""
    found, known = [], level_names(training.corpus.columns)
    for level, column in enumerate(training.levels.columns):
        names = np.array(training.levels.tree.labels[level])
        true = training.corpus.frame[known[level]].to_numpy(dtype=str)[rows]
        guess = names[way.nodes[:, level]]
        found.append(
            {
                "column": column,
                "accuracy": accuracy(true, guess),
                "macro_f1": macro_f1(true, guess),
            }
        )
    return found


def coarse_scores(
    training: HierarchyTraining, level: int, nodes: Int[np.ndarray, " n_test"]
) -> dict[str, float]:
    """Accuracy and macro-F1 of the nodes of one level on the test rows."""
    true = training.levels.codes[training.corpus.rows("test"), level]
    return {"accuracy": accuracy(true, nodes), "macro_f1": macro_f1(true, nodes)}
