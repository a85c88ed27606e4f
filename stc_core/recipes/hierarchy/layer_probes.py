"""Which layer should answer which level of labels, by a probe of each level and
layer."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import Int

from stc_core.activations.features import dense_features
from stc_core.activations.groups import GroupedStore
from stc_core.backbone.backbone import Backbone
from stc_core.data.task import Read, Task, some_rows
from stc_core.errors import StcError
from stc_core.heads.head import SparseHead
from stc_core.heads.ridge import fit_best_ridge_head
from stc_core.metrics.intervals import accuracy_interval
from stc_core.metrics.scores import accuracy, macro_f1
from stc_core.probes.variability import variability_from_features
from stc_core.recipes.hierarchy.levels import Levels
from stc_core.types import PooledSite, Site

_SLACK = 0.25
COARSE_TOLERANCE = 0.01
"""A frozen coarse head may be so much worse than the best one to run fewer blocks."""


@runtime_checkable
class ScoredLayer(Protocol):
    """The scores of a level read at a layer, or from all blocks up to it."""

    @property
    def layer(self) -> int: ...

    @property
    def accuracy(self) -> float: ...

    @property
    def macro_f1(self) -> float: ...


class LevelProbe(NamedTuple):
    """The validation scores of one level, read from one frozen layer.

    `head` scores the finest nodes; a node of the level is the sum of those below it.
    `linear` is a linear probe of the level's own nodes, `test` its test answers.
    """

    level: int
    layer: int
    head: SparseHead
    linear: SparseHead
    accuracy: float
    macro_f1: float
    test: Int[np.ndarray, " n_test"]


def layers_of_stack(backbone: Backbone) -> list[int]:
    """The layers of the topmost stack of blocks, ascending."""
    layers = [backbone.n_layers]
    while backbone.block(layers[-1] - 1) is not None:
        layers.append(layers[-1] - 1)
    return layers[::-1]


def probe_levels(
    backbone: Backbone,
    store: GroupedStore,
    levels: Levels,
    test: Int[np.ndarray, " n_test"],
) -> list[list[LevelProbe]]:
    """For each level its probes on the layers of the topmost stack.

    Ridge heads on the mean state, fitted on training rows; validation rows choose the
    ridge.
    """
    found: list[list[LevelProbe]] = [[] for _ in range(levels.depth)]
    for layer in layers_of_stack(backbone):
        features = dense_features(backbone, layer)
        site = PooledSite(Site(layer, "resid"), "mean")
        rows = some_rows(levels.tasks[0].train), levels.tasks[0].validation
        X = np.concatenate([store.read(site, part) for part in rows])
        Z = store.read(site, test)
        probes = [
            fit_best_ridge_head(X, task_of_rows(task, *rows), features)
            for task in levels.tasks
        ]
        leaves = probes[-1].logits(X[len(rows[0]) :])
        for level, (task, linear) in enumerate(zip(levels.tasks, probes, strict=True)):
            guess = levels.tree.grouped(level, leaves).argmax(axis=1)
            true, said = task.codes[rows[1]], linear.logits(Z).argmax(axis=1)
            scores = accuracy(true, guess), macro_f1(true, guess)
            found[level].append(
                LevelProbe(level, layer, probes[-1], linear, *scores, said)
            )
    return found


def task_of_rows(
    task: Task, train: Int[np.ndarray, " n_train"], held: Int[np.ndarray, " n_val"]
) -> Task:
    """The task of a matrix whose rows are these rows, in this order."""
    codes = task.codes[np.concatenate([train, held])]
    learned, rest = np.split(np.arange(len(codes)), [len(train)])
    return task._replace(codes=codes, train=learned, validation=rest)


def proposed_layers(
    by_level: Sequence[Sequence[ScoredLayer]],
    n: int,
    *,
    above: int = 0,
    tolerance: float | None = None,
) -> tuple[int, ...]:
    """A layer for each level, ascending; the finest level is at the top.

    Each is the lowest layer whose accuracy is within `tolerance` of the best one of its
    level. Without a tolerance it is SLACK standard errors on `n` validation rows: where
    the coarse label is final, an error cannot be mended at a finer level. `above`
    counts the parts that are written after the levels; the last one is at the top, one
    in between is half way up.
    """
    layers, depth = [probe.layer for probe in by_level[0]], len(by_level) + above
    if len(layers) < depth:
        raise StcError(
            "recipe hierarchy",
            expected=f"a backbone of at least {depth} blocks, one for each level",
            got=f"{len(layers)}",
        )
    found: list[int] = []
    for level, probes in enumerate(by_level if above else by_level[:-1]):
        best = max(probe.accuracy for probe in probes)
        slack = _SLACK * (best * (1 - best) / n) ** 0.5
        enough = best - (slack if tolerance is None else tolerance) - 1e-9
        lowest = next(probe.layer for probe in probes if probe.accuracy >= enough)
        least = found[-1] + 1 if found else layers[0]
        found.append(min(max(lowest, least), layers[level - depth]))
    while len(found) < depth - 1:
        found.append((found[-1] + layers[-1]) // 2)
    return (*found, layers[-1])


def checked_layers(
    given: Sequence[int], backbone: Backbone, depth: int
) -> tuple[int, ...]:
    """The layers that the user asked for; StcError if levels cannot be read there."""
    stack = layers_of_stack(backbone)
    rising = all(a < b for a, b in pairwise(given))
    if len(given) == depth and rising and set(given) <= set(stack):
        return tuple(given)
    raise StcError(
        "layers of the levels",
        expected=f"{depth} rising layers between {stack[0]} and {stack[-1]}",
        got=", ".join(map(str, given)),
        remedy="Give --level-layer once for each level, or leave it out.",
    )


def level_probe_table(
    by_level: Sequence[Sequence[ScoredLayer]],
    levels: Levels,
    *,
    n: int,
    nu: Sequence[Sequence[float]],
    layers: Sequence[int],
) -> pd.DataFrame:
    """A row per level and layer: scores on `n` rows, nu, and whether it was chosen.

    `nu` has for each level the values of all layers; none if they were not measured.
    """
    rows = []
    for level, (probes, values) in enumerate(zip(by_level, nu, strict=True)):
        for probe in probes:
            low, high = accuracy_interval(probe.accuracy, n)
            rows.append(
                {
                    "level": level,
                    "column": levels.columns[level],
                    "layer": probe.layer,
                    "accuracy": probe.accuracy,
                    "macro_f1": probe.macro_f1,
                    "accuracy_low": low,
                    "accuracy_high": high,
                    "n": n,
                    "nu": values[probe.layer] if probe.layer < len(values) else np.nan,
                    "chosen": probe.layer == layers[level],
                }
            )
    return pd.DataFrame(rows)


def level_nu(
    read: Read, tasks: Sequence[Task], backbone: Backbone, sites: Sequence[PooledSite]
) -> list[Sequence[float]]:
    """nu of every layer for each level; empty if the mean states are not among
    `sites`."""
    found = []
    for task in tasks:
        measured = variability_from_features(read, _learned(task), backbone, sites)
        found.append(measured.nu if measured else ())
    return found


def _learned(task: Task) -> Task:
    """The same task with the nodes of training rows alone."""
    present = np.unique(task.codes[task.train])
    place = np.zeros(len(task.classes), int)
    place[present] = np.arange(len(present))
    classes = tuple(task.classes[node] for node in present)
    return task._replace(codes=place[task.codes], classes=classes)
