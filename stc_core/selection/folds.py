"""Which rows judge a choice, and which rows they are judged by.

A small table is cross-fitted: each learned row is judged by models that have not seen
it. In a large one the validation rows suffice.
"""

from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Shaped

from stc_core.data.task import Task
from stc_core.heads.folds import FOLDS, stratified_folds

MOST_CROSS_FITTED = 5000
"""With more learned rows than this, the validation rows are judged, and only they."""
MOST_LEFT_OUT = 2000
"""Leave-one-out inverts a matrix of as many rows for each penalty: with more rows it
would take minutes, so the validation rows judge what it would."""


class Fold(NamedTuple):
    """Models are fitted on `fit` and judged by `held`, which they have not seen."""

    fit: Int[np.ndarray, " n_fit"]
    held: Int[np.ndarray, " n_held"]


def judging_folds(task: Task, keys: Shaped[np.ndarray, " n"]) -> tuple[Fold, ...]:
    """The folds that judge a choice among models of this task.

    With up to MOST_CROSS_FITTED learned rows there are FOLDS of them, with each class
    in proportion; rows of equal `keys` (equal texts) are in the same one. With more
    rows it is the split of the task itself. A row whose class is not among the rows
    that a fold is fitted on judges nothing, nor does a fold whose models know but one
    class.
    """
    rows = task.learned
    if len(rows) > MOST_CROSS_FITTED:
        return (Fold(task.train, task.validation),)
    number = stratified_folds(keys[rows], task.codes[rows], seed=0)
    folds = [
        Fold(rows[number != fold], rows[number == fold])
        for fold in range(FOLDS)
        if (number == fold).any() and (number != fold).any()
    ]
    known = [fold._replace(held=_judged(task, fold)) for fold in folds]
    found = tuple(
        fold
        for fold in known
        if len(fold.held) and len(np.unique(task.codes[fold.fit])) > 1
    )
    return found or (Fold(task.train, task.validation),)


def _judged(task: Task, fold: Fold) -> Int[np.ndarray, " some"]:
    """The held rows whose class the models of this fold know."""
    known = np.bincount(task.codes[fold.fit], minlength=len(task.classes)) > 0
    return fold.held[known[task.codes[fold.held]]]


def digests(X: Shaped[np.ndarray, "n d"]) -> Shaped[np.ndarray, " n"]:
    """A key for each row of X; equal rows have equal keys."""
    found = [blake2b(row.tobytes(), digest_size=16).digest() for row in X]
    return np.array(found, object)


def stratified_order(
    codes: Int[np.ndarray, " n"],
    rows: Int[np.ndarray, " some"],
    *,
    seed: int,
    each: int = 10,
) -> Int[np.ndarray, " some"]:
    """`rows` in a random order such that every prefix has each class in proportion.

    The first `each` rows of every class come before all others.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(rows)
    by_class = np.argsort(codes[shuffled], kind="stable")
    shuffled = shuffled[by_class]
    counts = np.unique(codes[shuffled], return_counts=True)[1]
    class_size = np.repeat(counts, counts)
    rank = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    # A row's rank within its class, as a share. The random part keeps small classes
    # from always coming last.
    share = (rank + rng.random(len(rows))) / class_size
    return shuffled[np.lexsort((share, rank >= each))]


def stratified_halves(
    codes: Int[np.ndarray, " n"], rows: Int[np.ndarray, " some"], *, seed: int
) -> tuple[Int[np.ndarray, " a"], Int[np.ndarray, " b"]]:
    """Two halves of the rows at random, ascending, with each class in proportion.

    Their sizes differ by one row at most, and so do those of each class.
    """
    mixed = np.random.default_rng(seed).permutation(rows)
    by_class = mixed[np.argsort(codes[mixed], kind="stable")]
    return np.sort(by_class[::2]), np.sort(by_class[1::2])
