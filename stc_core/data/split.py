"""A stratified train / validation / test split that keeps equal texts together."""

import numpy as np
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
    """`given` (a split name per row) with the missing splits carved out of train.

    Splits that are there stay as they are. The shares are of the rows in train.
    """
    pool = np.flatnonzero(given == TRAIN)
    split = given.copy()
    split[pool] = carve(
        groups[pool],
        labels[pool],
        validation_share=0.0 if (given == VALIDATION).any() else validation_share,
        test_share=0.0 if (given == TEST).any() else test_share,
        seed=seed,
    )
    return split


def carve(
    groups: Int[np.ndarray, " n"],
    labels: Shaped[np.ndarray, " n"],
    *,
    validation_share: float,
    test_share: float,
    seed: int,
) -> Shaped[np.ndarray, " n"]:
    """A split name per row, each class in about the given shares.

    Rows of one group share a split. Every class is in train; one with two groups is
    in test too, one with three in all. A pure function of its arguments.
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
    of_unit = np.full(len(first), TRAIN, dtype=object)
    by_class = shuffled[np.argsort(owner[shuffled], kind="stable")]
    ends = np.cumsum(np.bincount(owner, minlength=len(names)))
    for units in np.split(by_class, ends[:-1]):
        of_unit[units] = _deal(size[units], validation_share, test_share)
    split = of_unit[unit]
    for absent in np.setdiff1d(np.arange(len(names)), code[split == TRAIN]):
        split[unit == unit[np.flatnonzero(code == absent)[0]]] = TRAIN
    return split


def _deal(
    sizes: Int[np.ndarray, " units"], validation_share: float, test_share: float
) -> Shaped[np.ndarray, " units"]:
    """Splits for one class's groups: the largest to train, then as quotas allow."""
    dealt = np.full(len(sizes), TRAIN, dtype=object)
    if not len(sizes):
        return dealt
    kept = int(sizes.argmax())
    rows = int(sizes.sum())
    spare = rows - int(sizes[kept])
    for name, share in ((TEST, test_share), (VALIDATION, validation_share)):
        if not share:
            continue
        quota = min(spare, max(1, int(rows * share + 0.5)))
        free = np.flatnonzero(dealt == TRAIN)
        free = free[free != kept]
        taken = _fill(sizes[free], quota)
        dealt[free[taken]] = name
        spare -= int(sizes[free[taken]].sum())
    return dealt


def _fill(sizes: Int[np.ndarray, " units"], quota: int) -> list[int]:
    """The first units, in order, that fit in the quota together; at least one."""
    if not quota:
        return []
    taken, total = [], 0
    for at, size in enumerate(sizes.tolist()):
        if total == quota:
            break
        if total + size <= quota:
            taken.append(at)
            total += size
    return taken or [int(sizes.argmin())]
