"""Which neurons are kept: by the mass of their weights, then beside each other.

The joint step works on one Gram matrix of all candidates, so each set of columns,
penalty and prefix of layers costs one small linear solve and no pass over the data.
"""

import numpy as np
from jaxtyping import Float, Int

_ALIKE = 1e-4
"""Importances that differ by no more than this share are equal: solving for weights in
float32 lets rounding (6e-8), which another processor may do in another way, grow by the
condition number, some hundreds to a thousand. A list of thousands has few such ties."""
_MOST_ALIKE = 5


def keep_mass(score: Float[np.ndarray, " d"], eta: float) -> Int[np.ndarray, " kept"]:
    """Positions of the smallest set that holds a share `eta` of all importance.

    Descending importance, earlier first on a tie; features of no importance are
    never kept. Source: Sparsify-then-Classify, section 3 (eta there, too).
    """
    order = descending(score)
    mass = np.cumsum(score[order])
    if not len(mass) or mass[-1] <= 0:
        return order[:0]
    n = int(np.searchsorted(mass, eta * mass[-1] * (1 - 1e-12))) + 1
    return order[: min(n, np.count_nonzero(score > 0))]


def keep_top(score: Float[np.ndarray, " d"], budget: int) -> Int[np.ndarray, " kept"]:
    """Positions of at most `budget` features, by descending positive importance."""
    order = descending(score)[:budget]
    return order[score[order] > 0]


def descending(score: Float[np.ndarray, " d"]) -> Int[np.ndarray, " d"]:
    """Positions by falling importance; of those that are equal, the earlier first.

    Equal are those that follow each other with a step of ALIKE at most, while all are
    within MOST_ALIKE steps of the first. So the order of neurons that say the same
    does not hang on how a processor rounds.
    """
    order = np.argsort(-score, kind="stable")
    falling = score[order].astype(np.float64)
    lower = np.concatenate([[True], falling[1:] < falling[:-1] * (1 - _ALIKE)])
    lower = lower[: len(order)]
    group = np.cumsum(lower) - 1
    first = falling[lower][group]
    below = 1 - np.divide(falling, first, out=np.ones_like(first), where=first > 0)
    part = np.floor(below / (_MOST_ALIKE * _ALIKE))
    return order[np.lexsort((order, part, group))]


def smooth(grid: Float[np.ndarray, "a b"]) -> Float[np.ndarray, "a b"]:
    """Each cell averaged with those before and after it in its row."""
    wide = np.pad(grid, ((0, 0), (1, 1)), mode="edge")
    return (wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]) / 3
