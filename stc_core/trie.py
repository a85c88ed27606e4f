"""The names of labels as token paths: what may come next, and nothing else."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from stc_core.errors import StcError


class Trie(NamedTuple):
    """What may follow, by token; a leaf follows nothing and says which node it is."""

    after: dict[int, "Trie"]
    node: int = -1

    def leaves(self) -> Iterator[int]:
        """The nodes that can still be reached."""
        if not self.after:
            yield self.node
        for trie in self.after.values():
            yield from trie.leaves()


def trie_of(names: Sequence[Sequence[int]], nodes: Sequence[int], *, end: int) -> Trie:
    """The trie of some names, each closed by `end`, so that none begins another.

    Raises StcError if a name has no token, or two have the same.
    """
    root = Trie({})
    for name, node in zip(names, nodes, strict=True):
        at = root
        for token in name:
            at = at.after.setdefault(int(token), Trie({}))
        if not len(name) or end in at.after or end in name:
            raise StcError(
                "names of labels",
                expected="names that the tokenizer tells apart, among siblings",
                got=f"label {node} with the tokens {list(name)}",
                remedy="Rename it, or choose another backbone.",
            )
        at.after[end] = Trie({}, node)
    return root
