"""Which neurons are kept, by their importance: the same on every processor."""

import numpy as np
from jaxtyping import Float, Int

_ALIKE = 1e-4
"""Importances that differ by no more than this share count as equal.

Weights are solved for in float32. The condition number, some hundreds to a thousand,
magnifies its rounding (6e-8), and another processor may round in another way. A list of
thousands has few such ties.
"""
_MOST_ALIKE = 5


def keep_mass(score: Float[np.ndarray, " d"], eta: float) -> Int[np.ndarray, " kept"]:
    """Positions of the smallest set that holds a share `eta` of all importance.

    They come in order of descending importance, earlier positions first on a tie.
    Features without importance are never kept. Source: Sparsify-then-Classify, section
    3 (which also calls the share eta).
    """
    order = descending_order(score)
    mass = np.cumsum(score[order])
    if not len(mass) or mass[-1] <= 0:
        return order[:0]
    n = int(np.searchsorted(mass, eta * mass[-1] * (1 - 1e-12))) + 1
    return order[: min(n, np.count_nonzero(score > 0))]


def keep_top(score: Float[np.ndarray, " d"], budget: int) -> Int[np.ndarray, " kept"]:
    """Positions of the `budget` most important features, or fewer; all above zero."""
    order = descending_order(score)[:budget]
    return order[score[order] > 0]


def descending_order(score: Float[np.ndarray, " d"]) -> Int[np.ndarray, " d"]:
    """Positions by descending importance; among equal ones the earlier first.

    Importances count as equal if they follow each other in steps of at most _ALIKE and
    all are within _MOST_ALIKE such steps of the first. So the order of neurons that
    carry the same information does not depend on how a processor rounds.
    """
    order = np.argsort(-score, kind="stable")
    falling = score[order].astype(np.float64)
    starts_group = np.concatenate([[True], falling[1:] < falling[:-1] * (1 - _ALIKE)])
    starts_group = starts_group[: len(order)]
    group = np.cumsum(starts_group) - 1
    first = falling[starts_group][group]
    drop = 1 - np.divide(falling, first, out=np.ones_like(first), where=first > 0)
    step_group = np.floor(drop / (_MOST_ALIKE * _ALIKE))
    return order[np.lexsort((order, step_group, group))]


def smooth(grid: Float[np.ndarray, "a b"]) -> Float[np.ndarray, "a b"]:
    """Each cell averaged with the cells before and after it in its row."""
    wide = np.pad(grid, ((0, 0), (1, 1)), mode="edge")
    return (wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]) / 3
