"""The columns of a hierarchy of labels, coarse to fine."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from stc_core.classifiers.label_tree import Tree, tree_of
from stc_core.config import TrainConfig
from stc_core.data.checks import level_names
from stc_core.data.columns import Columns
from stc_core.data.corpus import Corpus
from stc_core.data.goal import choose_goal
from stc_core.data.task import Task
from stc_core.errors import StcError

MOST_LEVELS = 4


class Levels(NamedTuple):
    """The labels of a corpus as a tree, and each level as a task of its own.

    `codes[:, d]` are nodes of level d; -1 if no training row has the path of a test
    row.
    """

    tree: Tree
    columns: tuple[str, ...]
    codes: Int[np.ndarray, "n depth"]
    tasks: tuple[Task, ...]

    @property
    def depth(self) -> int:
        return self.tree.depth


def check_levels(columns: Columns) -> None:
    """Raise StcError unless there are two to four columns of labels.

    One column is enough if a reply follows.
    """
    n = len(columns.labels)
    if 2 <= n <= MOST_LEVELS or (n == 1 and columns.reply):
        return
    raise StcError(
        "recipe hierarchy",
        expected=f"2 to {MOST_LEVELS} columns of labels, from coarse to fine",
        got=", ".join(map(repr, columns.labels)) or "none",
        remedy="Give --label for each level: --label label_1 --label label_2.",
    )


def levels_of(corpus: Corpus, settings: TrainConfig) -> Levels:
    """The tree of the paths in the training rows, and a task for each level."""
    check_levels(corpus.columns)
    labels = corpus.frame[level_names(corpus.columns)].to_numpy(dtype=str)
    train, validation = corpus.rows("train"), corpus.rows("validation")
    tree = tree_of(labels[np.concatenate([train, validation])])
    codes = tree.codes(labels)
    learned = np.concatenate([train, validation])
    goals = [
        choose_goal(
            codes[learned, level],
            len(tree.names(level)),
            criterion=settings.criterion,
            class_weight=settings.class_weight,
        )
        for level in range(tree.depth)
    ]
    tasks = tuple(
        Task(codes[:, level], tree.names(level), train, validation, goal)
        for level, goal in enumerate(goals)
    )
    return Levels(tree, corpus.columns.labels, codes, tasks)
