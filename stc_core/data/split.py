"""A stratified train / validation / test split that keeps equal texts together."""

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLIT_ORDER = (TRAIN, VALIDATION, TEST)


def complete_split(
    given: Shaped[np.ndarray, " n"],
    groups: Int[np.ndarray, " n"],
    labels: Shaped[np.ndarray, " n"],
    *,
    validation_share: float,
    test_share: float,
    seed: int,
) -> Shaped[np.ndarray, " n"]:
    """`given` (a split name per row), with missing splits taken out of train.

    Splits that exist stay as they are. The shares are shares of the rows in train, and
    the texts of other rows do not matter.
    """
    pool = np.flatnonzero(given == TRAIN)
    split = given.copy()
    split[pool] = split_rows(
        pd.factorize(groups[pool])[0],  # else numbered by rows of other splits, too
        labels[pool],
        validation_share=0.0 if (given == VALIDATION).any() else validation_share,
        test_share=0.0 if (given == TEST).any() else test_share,
        seed=seed,
    )
    return split


def split_rows(
    groups: Int[np.ndarray, " n"],
    labels: Shaped[np.ndarray, " n"],
    *,
    validation_share: float,
    test_share: float,
    seed: int,
) -> Shaped[np.ndarray, " n"]:
    """A split name per row, each class in about the given shares.

    Rows of one group share a split. Every class is in train; a class with two groups is
    also in test, one with three groups is in all splits. A pure function of its
    arguments.
    """
    split = np.full(len(labels), TRAIN, dtype=object)
    if not len(labels):
        return split
    _, first, unit, size = np.unique(
        groups, return_index=True, return_inverse=True, return_counts=True
    )
    names, code = np.unique(labels, return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(len(first))
    owner = code[first]  # a group belongs to the class of its first row
    unit_split = np.full(len(first), TRAIN, dtype=object)
    by_class = shuffled[np.argsort(owner[shuffled], kind="stable")]
    ends = np.cumsum(np.bincount(owner, minlength=len(names)))
    for units in np.split(by_class, ends[:-1]):
        unit_split[units] = _deal(size[units], validation_share, test_share)
    split = unit_split[unit]
    for absent in np.setdiff1d(np.arange(len(names)), code[split == TRAIN]):
        split[unit == unit[np.flatnonzero(code == absent)[0]]] = TRAIN
    return split


def _deal(
    sizes: Int[np.ndarray, " units"], validation_share: float, test_share: float
) -> Shaped[np.ndarray, " units"]:
    """The splits of a class's groups: the largest in train, others as quotas allow."""
    splits = np.full(len(sizes), TRAIN, dtype=object)
    if not len(sizes):
        return splits
    largest = int(sizes.argmax())
    rows = int(sizes.sum())
    spare = rows - int(sizes[largest])
    for name, share in ((TEST, test_share), (VALIDATION, validation_share)):
        if not share:
            continue
        quota = min(spare, max(1, int(rows * share + 0.5)))
        free = np.flatnonzero(splits == TRAIN)
        free = free[free != largest]
        chosen = _fill(sizes[free], quota)
        splits[free[chosen]] = name
        spare -= int(sizes[free[chosen]].sum())
    return splits


def _fill(sizes: Int[np.ndarray, " units"], quota: int) -> list[int]:
    """The first groups, in order, that fit into the quota together; at least one."""
    if not quota:
        return []
    chosen, total = [], 0
    for unit, size in enumerate(sizes.tolist()):
        if total == quota:
            break
        if total + size <= quota:
            chosen.append(unit)
            total += size
    return chosen or [int(sizes.argmin())]
