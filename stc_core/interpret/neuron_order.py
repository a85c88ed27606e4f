"""An order of rows in which similar rows are neighbours.

It comes from hierarchical clustering. The tree says only which rows belong together;
the order of the two sides of a merge is chosen greedily. Source: Gruvaeus and Wainer
1972.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import pdist, squareform

MOST_CLUSTERED = 1000
"""The most rows that are clustered, in about half a second and 20 MB; time and memory
grow with the square of the number of rows."""


def seriation(X: Float[np.ndarray, "n d"]) -> Int[np.ndarray, " n"]:
    """The order of the rows of X in which rows with similar directions are neighbours.

    Signs count, lengths do not. If there are more than MOST_CLUSTERED rows, only the
    first MOST_CLUSTERED are clustered; each other row follows its most similar one.
    """
    lengths = np.linalg.norm(X, axis=1, keepdims=True)
    unit = X / np.where(lengths > 0, lengths, 1.0)
    order = _clustered(unit[:MOST_CLUSTERED])
    if len(unit) <= MOST_CLUSTERED:
        return order
    place = np.empty(len(unit), int)
    place[order] = np.arange(len(order))
    nearest = np.argmax(unit[MOST_CLUSTERED:] @ unit[:MOST_CLUSTERED].T, axis=1)
    place[MOST_CLUSTERED:] = place[nearest]
    return np.argsort(place, kind="stable")


def _clustered(unit: Float[np.ndarray, "n d"]) -> Int[np.ndarray, " n"]:
    """The leaves of an average-linkage tree; each merge joins its nearest ends."""
    if len(unit) < 3:
        return np.arange(len(unit))
    distances = pdist(unit)
    apart = squareform(distances)
    branches: list[list[int]] = [[row] for row in range(len(unit))]
    for left, right in linkage(distances, "average")[:, :2].astype(int):
        branches.append(_joined(branches[left], branches[right], apart))
    return np.array(branches[-1])


def _joined(a: list[int], b: list[int], apart: Float[np.ndarray, "n n"]) -> list[int]:
    """The two branches joined at their nearest ends."""
    ways = [
        (apart[a[-at_a], b[at_b]], at_a, at_b) for at_a in (1, 0) for at_b in (0, -1)
    ]
    _, at_a, at_b = min(ways)
    return (a if at_a else a[::-1]) + (b[::-1] if at_b else b)
