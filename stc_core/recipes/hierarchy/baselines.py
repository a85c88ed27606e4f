"""The baselines of a tuned hierarchical classifier, on the same rows and budget.

`flat` predicts the finest level at the top layer and reads the parents off the tree.
`separate` tunes one model for each level; that of the finest level is `flat`. Both
have our kind of head, settings, seed and blocks. `inner_probe` puts a linear probe for
each level on the frozen layer that ours reads. Those of a frozen one are in frozen.py.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from stc_core.backbone.packing import make_batch
from stc_core.classifiers.label_tree import Tree
from stc_core.metrics.intervals import accuracy_interval
from stc_core.recipes.hierarchy.layer_probes import LevelProbe
from stc_core.recipes.hierarchy.levels import Levels
from stc_core.recipes.hierarchy.training import HierarchyTraining, LevelPlan
from stc_core.recipes.hierarchy.word_heads import text_room, word_module_of
from stc_core.selection.baselines import score_baseline
from stc_core.selection.guess import Guess
from stc_core.tuning.readout import Readout

_BATCH = 64
Nodes = Int[np.ndarray, "n_test depth"]


class LevelGuess(NamedTuple):
    """The nodes that a baseline gives to the test texts, and how it was made."""

    nodes: Nodes
    detail: str
    seconds: float


def level_baselines(
    training: HierarchyTraining,
    plan: LevelPlan,
    by_level: Sequence[Sequence[LevelProbe]],
    head: nn.Module | None = None,
) -> dict[str, LevelGuess]:
    """What each baseline says of the test rows."""
    levels, said = training.levels, f"blocks {plan.tuned[0]}-{plan.tuned[-1]} tuned"
    probes = [
        next(probe.test for probe in by_level[level] if probe.layer == layer)
        for level, layer in enumerate(plan.layers[: levels.depth])
    ]
    places = ", ".join(map(str, plan.layers[: levels.depth]))
    finest = levels.depth - 1
    leaf, seconds = _tuned(training, plan, by_level, finest, head)
    flat = [levels.tree.ancestors(level)[leaf] for level in range(levels.depth)]
    own = [_tuned(training, plan, by_level, level, head) for level in range(finest)]
    every = [*(guess for guess, _ in own), leaf]
    total = seconds + sum(taken for _, taken in own)
    found = {
        "flat": LevelGuess(np.stack(flat, axis=1), said, seconds),
        "separate": LevelGuess(
            np.stack(every, axis=1), f"{levels.depth} models, {said}", total
        ),
        "inner_probe": LevelGuess(
            np.stack(probes, axis=1), f"frozen layers {places}", 0.0
        ),
    }
    if levels.depth == 1:  # then there is but one model
        del found["separate"]
    return found


def _tuned(
    training: HierarchyTraining,
    plan: LevelPlan,
    probes: Sequence[Sequence[LevelProbe]],
    level: int,
    head: nn.Module | None,
) -> tuple[Int[np.ndarray, " n_test"], float]:
    """The test nodes of one level by a model tuned for it alone, and the seconds."""
    top, task = plan.layers[-1], training.levels.tasks[level]
    training.writer.phase(
        "tune", message=f"to compare: {task_name(training, level)} alone"
    )
    max_length = None if head is None else text_room(training)
    tunable, _ = training.prepared(plan, layer=top, max_length=max_length)
    readout: Readout
    if head is None:
        readout = Readout(
            tunable.backbone,
            next(probe.linear for probe in probes[level] if probe.layer == top),
            tunable.parts,
            tunable.blocks,
            class_weight=task.class_weights(task.train),
        )
    else:
        alone = Tree((training.levels.tree.names(level),), ((0,) * len(task.classes),))
        readout = word_module_of(training, tunable, alone, (top,), head)
    name = f"level_{level + 1}"
    history = training.train(readout, tunable.backbone, task, name=name)
    texts = list(training.corpus.texts.at(training.corpus.rows("test")))
    logits = logits_of(readout, tunable.backbone.tokenize(texts).ids)
    return logits.argmax(axis=1), history.seconds


def task_name(training: HierarchyTraining, level: int) -> str:
    return training.levels.columns[level]


def logits_of(
    readout: Readout, ids: Sequence[np.ndarray]
) -> Float[np.ndarray, "n n_class"]:
    """The logits of texts, one row each, by a module that was just trained."""
    readout.eval()
    config = readout.model.config
    device = next(readout.parameters()).device
    order = np.argsort([len(row) for row in ids], kind="stable")
    parts = []
    with torch.inference_mode():
        for start in range(0, len(ids), _BATCH):
            batch = [ids[row] for row in order[start : start + _BATCH]]
            inputs = make_batch(batch, config, device=device, packed=False).inputs
            parts.append(readout(**inputs)["logits"].float().cpu().numpy())
    out = np.empty((len(ids), parts[0].shape[1]), np.float32)
    out[order] = np.concatenate(parts)
    return out


def path_scores(
    levels: Levels,
    true: Nodes,
    found: Nodes,
    *,
    detail: str = "",
    ours: Nodes | None = None,
) -> dict[str, Any]:
    """Scores of the finest level and of whole paths.

    With `ours`, the answers of the classifier, a baseline has the interval of the lead
    of the classifier over it, by the finest level.
    `joint_accuracy` is the share of rows where every level is right, `consistency` the
    share of rows where each node is a child of the node of the level above.
    """
    joint = float((found == true).all(axis=1).mean())
    fits = np.ones(len(found), bool)
    for level in range(1, levels.depth):
        parents = np.array(levels.tree.parents[level])[found[:, level]]
        fits &= parents == found[:, level - 1]
    return {
        **score_baseline(
            true[:, -1],
            Guess(found[:, -1], detail),
            ours=None if ours is None else ours[:, -1],
            n_class=len(levels.tasks[-1].classes),
        ),
        "joint_accuracy": joint,
        "joint_interval": accuracy_interval(joint, len(true)),
        "consistency": float(fits.mean()),
    }
