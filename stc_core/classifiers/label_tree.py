"""A tree of labels, coarse to fine, and paths down it, which are always valid.

A node is a path of labels from the top, so a label under two parents is two nodes.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

_SEPARATOR = " › "


class Tree(NamedTuple):
    """The nodes of each level: the label of each, and the index of its parent.

    The index is that in the level above; it is 0 at the top level.
    """

    labels: tuple[tuple[str, ...], ...]
    parents: tuple[tuple[int, ...], ...]

    @property
    def depth(self) -> int:
        return len(self.labels)

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(len(level) for level in self.labels)

    def record(self) -> dict[str, Any]:
        return {"labels": self.labels, "parents": self.parents}

    @classmethod
    def of(cls, record: dict[str, Any]) -> "Tree":
        labels = tuple(tuple(level) for level in record["labels"])
        return cls(labels, tuple(tuple(level) for level in record["parents"]))

    def ancestors(
        self, level: int, *, of: int | None = None
    ) -> Int[np.ndarray, " n_node"]:
        """The node of `level` above each node of the level `of` (None: the finest)."""
        finer = self.depth - 1 if of is None else of
        nodes = np.arange(self.sizes[finer])
        for below in range(finer, level, -1):
            nodes = np.array(self.parents[below])[nodes]
        return nodes

    def lineage(self, level: int) -> tuple[Int[np.ndarray, " n_node"], ...]:
        """For each coarser level its node above each node of `level`."""
        return tuple(self.ancestors(coarse, of=level) for coarse in range(level))

    def children(self, level: int) -> Bool[np.ndarray, "n_parent n_node"]:
        """A table with a row for each node of the level above `level`.

        An entry is True if the column's node of `level` is a child of the row's node.
        For the top level there is one row, the root, and all nodes are its children.
        """
        if level == 0:
            return np.ones((1, self.sizes[0]), bool)
        above = np.arange(self.sizes[level - 1])[:, None]
        return above == np.array(self.parents[level])

    def grouped(
        self, level: int, logits: Float[np.ndarray, "n n_leaf"]
    ) -> Float[np.ndarray, "n n_node"]:
        """The logits of the nodes of a level, from the logits of the finest level.

        They are the log-sum-exp over the leaves of each node. So their softmax gives
        each node the sum of the probabilities of its leaves.
        """
        above = self.ancestors(level)
        nodes = [logits[:, above == node] for node in range(self.sizes[level])]
        return np.stack([np.logaddexp.reduce(part, axis=1) for part in nodes], axis=1)

    def path(self, leaf: int) -> tuple[str, ...]:
        """The labels from the top down to a node of the finest level."""
        return tuple(
            self.labels[level][self.ancestors(level)[leaf]]
            for level in range(self.depth)
        )

    def names(self, level: int) -> tuple[str, ...]:
        """The unique names of the nodes of a level.

        A name is the label, with the name of the parent in front if it is not unique.
        """
        labels = self.labels[level]
        shared = {label for label in labels if labels.count(label) > 1}
        if not shared:
            return labels
        above = self.names(level - 1)
        return tuple(
            f"{above[parent]}{_SEPARATOR}{label}" if label in shared else label
            for label, parent in zip(labels, self.parents[level], strict=True)
        )

    def codes(
        self, labels: Shaped[np.ndarray, "n depth"]
    ) -> Int[np.ndarray, "n depth"]:
        """The node of each row at each level; -1 from the first unknown label on."""
        known: list[dict[tuple[int, str], int]] = [
            {node: index for index, node in enumerate(zip(*level, strict=True))}
            for level in zip(self.parents, self.labels, strict=True)
        ]
        out = np.full(labels.shape, -1)
        for row, path in enumerate(labels):
            node = 0
            for level, label in enumerate(path):
                node = known[level].get((node, str(label)), -1)
                if node < 0:
                    break
                out[row, level] = node
        return out


def tree_of(labels: Shaped[np.ndarray, "n depth"]) -> Tree:
    """The tree of all paths in `labels`, with its nodes sorted by their labels."""
    paths = sorted({tuple(str(label) for label in path) for path in labels})
    names, parents = [], []
    above: dict[tuple[str, ...], int] = {(): 0}
    for level in range(labels.shape[1]):
        nodes = sorted({path[: level + 1] for path in paths})
        names.append(tuple(node[-1] for node in nodes))
        parents.append(tuple(above[node[:-1]] for node in nodes))
        above = {node: index for index, node in enumerate(nodes)}
    return Tree(tuple(names), tuple(parents))


class Descent(NamedTuple):
    """The path of each text: `nodes[:, d]` is its node at level d, a child of the last.

    `shares[d]` holds the probability of the whole path to each node of level d. The
    probabilities of a level sum to 1; those of the children of a node sum to its own.
    """

    nodes: Int[np.ndarray, "n depth"]
    shares: tuple[Float[np.ndarray, "n _"], ...]

    def probabilities(self) -> Float[np.ndarray, "n depth"]:
        """The probability of each node on the path; of any node if there is none."""
        columns = [
            share[np.arange(len(share)), self.nodes[:, level]]
            for level, share in enumerate(self.shares)
        ]
        return np.stack(columns, axis=1)

    def coarse_where_unsure(self, tree: Tree, least: float) -> "Descent":
        """The same answers, each only as fine as it is probable enough.

        A text is answered at the finest level whose most probable node has at least the
        probability `least`, or at the coarsest level if none has. The node is the most
        probable one of that level, with the nodes above it; finer levels are -1.
        """
        finest = np.zeros(len(self.nodes), int)
        for level, share in enumerate(self.shares):
            finest[share.max(axis=1) >= least] = level
        nodes = np.full_like(self.nodes, -1)
        for level, share in enumerate(self.shares):
            rows = np.flatnonzero(finest == level)
            best = share[rows].argmax(axis=1)
            for coarse in range(level + 1):
                nodes[rows, coarse] = tree.ancestors(coarse, of=level)[best]
        return Descent(nodes, self.shares)


def descend(tree: Tree, logits: Sequence[Float[np.ndarray, "n _"]]) -> Descent:
    """The paths by the logits of the first levels; each node is the best child.

    The answer at a level does not depend on finer levels, so a coarse answer is the
    beginning of the full answer.
    """
    n = len(logits[0])
    chosen = np.zeros(n, int)
    nodes, shares = [], []
    above = np.ones((n, 1))
    for level, level_logits in enumerate(logits):
        under = tree.children(level)
        chosen = np.where(under[chosen], level_logits, -np.inf).argmax(axis=1)
        nodes.append(chosen)
        above = above[:, np.array(tree.parents[level])] * conditional(
            level_logits, under
        )
        shares.append(above)
    return Descent(np.stack(nodes, axis=1), tuple(shares))


def best_paths(
    tree: Tree, level: int, shares: Float[np.ndarray, "n n_node"]
) -> Descent:
    """The paths to the most probable node of `level`, by the probabilities of all.

    The probability of a coarser node is the sum over the nodes of `level` below it, so
    the node on the path is not always the most probable one of its own level.
    """
    best = shares.argmax(axis=1)
    above = [tree.ancestors(coarse, of=level) for coarse in range(level + 1)]
    summed = [
        np.stack([shares[:, of == node].sum(axis=1) for node in range(size)], axis=1)
        for of, size in zip(above, tree.sizes, strict=False)
    ]
    return Descent(np.stack([of[best] for of in above], axis=1), tuple(summed))


def conditional(
    logits: Float[np.ndarray, "n n_node"], under: Bool[np.ndarray, "n_parent n_node"]
) -> Float[np.ndarray, "n n_node"]:
    """The probability of each node given its parent: a softmax among its siblings."""
    out = np.empty(logits.shape, np.float64)
    for siblings in under:
        part = logits[:, siblings].astype(np.float64)
        exp = np.exp(part - part.max(axis=1, keepdims=True))
        out[:, siblings] = exp / exp.sum(axis=1, keepdims=True)
    return out
