"""Labels spelled with words of a language model, each level at its own layer.

Source: HdLM (arXiv 2507.12930). A name must be a child of the label before it, so no
invalid path can be written. Coarse levels run only the lower blocks; the upper blocks
catch up when a finer level is needed.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from stc_core.backbone.backbone import Backbone
from stc_core.backbone.packing import longest_packed
from stc_core.classifiers.label_tree import Descent, Tree
from stc_core.classifiers.staged_decoder import Reading, Stages
from stc_core.errors import StcError

_BATCH = 32


class Trie(NamedTuple):
    """The tokens that may follow, each with its own trie; a leaf holds its node."""

    after: dict[int, "Trie"]
    node: int = -1

    def leaves(self) -> Iterator[int]:
        """The nodes that can still be reached."""
        if not self.after:
            yield self.node
        for trie in self.after.values():
            yield from trie.leaves()


class Names(NamedTuple):
    """The tokens of each node's name by level, and the token that closes each part."""

    tokens: tuple[tuple[tuple[int, ...], ...], ...]
    end: int

    @property
    def longest(self) -> int:
        """The most tokens that the names of a path take, with their end tokens."""
        return sum(1 + max(map(len, level)) for level in self.tokens)

    def tries(self, tree: Tree, level: int) -> list[Trie]:
        """The trie of the names under each parent of the nodes of a level."""
        tries = []
        for under in tree.children(level):
            nodes = np.flatnonzero(under).tolist()
            names = [self.tokens[level][node] for node in nodes]
            tries.append(trie_of(names, nodes, end=self.end))
        return tries


def spelled_names(tree: Tree, backbone: Backbone) -> Names:
    """The names of all nodes as the backbone's tokenizer writes them."""
    tokenizer = backbone.tokenizer
    end = tokenizer.eos_token_id
    if not isinstance(end, int):
        end = tokenizer.bos_token_id if isinstance(tokenizer.bos_token_id, int) else 0
    tokens = tuple(
        tuple(
            tuple(tokenizer(label, add_special_tokens=False)["input_ids"])
            for label in level
        )
        for level in tree.labels
    )
    names = Names(tokens, end)
    for level in range(tree.depth):
        names.tries(tree, level)
    return names


def positions(backbone: Backbone) -> int:
    """The most tokens that the backbone can read."""
    limit = getattr(backbone.config, "max_position_embeddings", None)
    return limit or backbone.max_length


def text_length(backbone: Backbone, names: Names, *, more: int = 0) -> int:
    """The most tokens of a text, so that its labels and `more` tokens fit after it.

    Raises StcError if fewer than 8 tokens are left.
    """
    limit = positions(backbone) - more
    room = limit - names.longest - 1
    if room < 8:
        other = "choose class heads: --heads class"
        after = f" after {more:,} for what is written" if more else ""
        raise StcError(
            f"label names for {backbone.name}",
            expected=f"names that leave room for a text in {limit} tokens{after}",
            got=f"{names.longest} tokens for the longest path",
            remedy="Shorten the names, or "
            f"{'lower --reply-length' if more else other}.",
        )
    return min(backbone.max_length, room)


class Speller:
    """A decoder with a head over words at the layer of each level.

    Layers and heads beyond those of the tree are for parts written after the labels.
    """

    def __init__(
        self,
        backbone: Backbone,
        tree: Tree,
        names: Names,
        layers: Sequence[int],
        heads: Sequence[nn.Module],
        *,
        norm: bool,
    ) -> None:
        self.stages = Stages(backbone, layers)
        self.tree, self.names, self.heads, self.norm = tree, names, list(heads), norm
        self.tries = [names.tries(tree, level) for level in range(tree.depth)]
        self.block_tokens = [0] * len(layers)  # tokens times blocks read, by stage

    def logits(self, level: int, states: Tensor) -> Tensor:
        """The logits of every word, from states above the layer of a level.

        The last level applies the model's norm, as the model does; others apply it if
        `norm` is set.
        """
        if self.norm or level == len(self.heads) - 1:
            states = self.stages.norm(states)
        head = self.heads[level]
        return head(states.to(next(head.parameters()).dtype)).float()

    @torch.inference_mode()
    def descend(self, ids: Sequence[np.ndarray], levels: int) -> Descent:
        """The path of each text through the first levels, by the best word each time.

        The probability of a name is the product of its token probabilities among the
        tokens that may follow. After a token that was not chosen, the probability is
        spread evenly over the nodes below it.
        """
        nodes = np.zeros((len(ids), levels), int)
        shares = [np.zeros((len(ids), n)) for n in self.tree.sizes[:levels]]
        for rows in self.batches(ids):
            reading = self.begin([ids[row] for row in rows])
            way = self.read_down(reading, levels)
            nodes[rows] = way.nodes
            for share, of_batch in zip(shares, way.shares, strict=True):
                share[rows] = of_batch
            self.count(reading)
        return Descent(nodes, tuple(shares))

    def batches(
        self, ids: Sequence[np.ndarray], *, more: int = 0
    ) -> Iterator[Int[np.ndarray, " some"]]:
        """Rows of similar length to read together; single rows if gaps would do harm.

        `more` is the number of tokens that are written after the labels.
        """
        backbone = self.stages.backbone
        window = longest_packed(backbone.config)
        longest = max(map(len, ids), default=0) + self.names.longest + more
        _check_length(backbone, longest)
        allows_gaps = window is None or longest < window
        size = _BATCH if allows_gaps and backbone.family != "gpt_neo" else 1
        order = np.argsort([len(row) for row in ids], kind="stable")
        for start in range(0, len(ids), size):
            yield order[start : start + size]

    @torch.inference_mode()
    def read_down(self, reading: Reading, levels: int) -> Descent:
        """The paths of the texts of one batch; the reading then contains them."""
        n = len(reading.ids)
        nodes = np.zeros((n, levels), int)
        shares: list[np.ndarray] = []
        for level in range(levels):
            above = nodes[:, level - 1] if level else np.zeros(n, int)
            nodes[:, level], among = self.spell(reading, level, above)
            over = shares[level - 1] if level else np.ones((n, 1))
            shares.append(over[:, np.array(self.tree.parents[level])] * among)
        return Descent(nodes, tuple(shares))

    def count(self, reading: Reading) -> None:
        """Add the tokens of a reading to `block_tokens`."""
        for stage, n in enumerate(reading.block_tokens):
            self.block_tokens[stage] += n

    def begin(self, ids: Sequence[np.ndarray]) -> Reading:
        """A reading of the texts, each with an end token, padded on the left."""
        width = max(map(len, ids)) + 1
        tokens = np.full((len(ids), width), self.names.end, np.int64)
        mask = np.zeros((len(ids), width), bool)
        for row, row_ids in enumerate(ids):
            tokens[row, width - 1 - len(row_ids) : -1] = row_ids
            mask[row, width - 1 - len(row_ids) :] = True
        device = self.stages.backbone.device
        inputs = torch.from_numpy(tokens).to(device), torch.from_numpy(mask).to(device)
        return self.stages.begin(*inputs)

    def spell(
        self, reading: Reading, level: int, above: np.ndarray
    ) -> tuple[np.ndarray, Float[np.ndarray, "batch n_node"]]:
        """The node of each text under its parent `above`, and p(node | its parent).

        If only one token may follow, no forward pass is run for it: it is read together
        with the next choice.
        """
        tries = self.tries[level]
        at = [tries[parent] for parent in above]
        among = self._even(level, len(at))
        for row, parent in enumerate(above):
            among[row, self.tree.children(level)[parent]] = 0
        mass = np.ones(len(at))
        while any(trie.after for trie in at):
            words = None
            if any(len(trie.after) > 1 for trie in at):
                states = reading.states(level)
                words = self.logits(level, states).cpu().numpy().astype(np.float64)
            tokens = np.full(len(at), self.names.end)
            real = np.array([bool(trie.after) for trie in at])
            for row in np.flatnonzero(real):
                options = list(at[row].after)
                p = np.ones(1)
                if len(options) > 1:
                    assert words is not None
                    p = np.exp(words[row, options] - words[row, options].max())
                    p /= p.sum()
                best = int(p.argmax())
                for option, share in zip(options, p, strict=True):
                    nodes = list(at[row].after[option].leaves())
                    among[row, nodes] = mass[row] * share / len(nodes)
                mass[row] *= p[best]
                tokens[row], at[row] = options[best], at[row].after[options[best]]
            device = reading.ids.device
            reading.push(
                torch.from_numpy(tokens).to(device), torch.from_numpy(real).to(device)
            )
        return np.array([trie.node for trie in at]), among

    def _even(self, level: int, n: int) -> Float[np.ndarray, "n n_node"]:
        parents = np.array(self.tree.parents[level])
        counts = np.bincount(parents)
        return np.repeat((1 / counts[parents])[None], n, axis=0)


def _check_length(backbone: Backbone, longest: int) -> None:
    """Raise StcError if a text would grow past the length up to which positions of all
    texts have the same frequencies (`Backbone.constant_up_to`)."""
    limit = backbone.constant_up_to
    if limit is not None and longest > limit:
        raise StcError(
            f"decoding with {backbone.name}",
            expected=f"at most {limit} tokens, text and labels together",
            got=f"{longest}",
            remedy=f"Lower max_length by {longest - limit}, or choose class heads: "
            "--heads class.",
        )


def trie_of(names: Sequence[Sequence[int]], nodes: Sequence[int], *, end: int) -> Trie:
    """The trie of `names`, each closed by `end`, so that no name begins another one.

    Raises StcError if a name has no tokens, or if two names have the same tokens.
    """
    root = Trie({})
    for name, node in zip(names, nodes, strict=True):
        at = root
        for token in name:
            at = at.after.setdefault(int(token), Trie({}))
        if not len(name) or end in at.after or end in name:
            raise StcError(
                "names of labels",
                expected="names with tokens that are different for each sibling",
                got=f"label {node} with the tokens {list(name)}",
                remedy="Rename the label, or choose another backbone.",
            )
        at.after[end] = Trie({}, node)
    return root
