"""One teacher-forced sequence: the text, the names of its labels, then the reply.

Source: HdLM (arXiv 2507.12930). Each part ends with the end token and has its own head
and layer; the model reads the text and its end token without learning to write them.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from stc_core.backbone.packing import make_batch
from stc_core.classifiers.label_tree import Tree
from stc_core.classifiers.spelling import Names, Speller
from stc_core.types import Site

_BATCH = 16


class Script(NamedTuple):
    """The tokens of a sequence, and the place of each part, with its end token."""

    tokens: np.ndarray
    spans: tuple[tuple[int, int], ...]


def script_of(
    ids: np.ndarray,
    leaf: int,
    tails: Sequence[np.ndarray] = (),
    *,
    tree: Tree,
    names: Names,
) -> Script:
    """The sequence of a text, the path down to a leaf and what comes after.

    `tails` are not changed: one that was cut has no end token.
    """
    parts = [
        [*names.tokens[level][tree.ancestors(level)[leaf]], names.end]
        for level in range(tree.depth)
    ]
    row, spans = [*ids.tolist(), names.end], []
    for part in [*parts, *(tail.tolist() for tail in tails)]:
        spans.append((len(row), len(row) + len(part)))
        row += part
    return Script(np.array(row, np.int32), tuple(spans))


class ScriptReading(NamedTuple):
    """The logits of a part's head before each token, the tokens, and their rows."""

    logits: Float[Tensor, "token vocabulary"]
    tokens: Int[Tensor, " token"]
    rows: Int[Tensor, " token"]


def read_scripts(
    speller: Speller, scripts: Sequence[Script], parts: Sequence[int]
) -> Iterator[ScriptReading]:
    """For each of `parts` the reading of these sequences, from one forward."""
    backbone, stages = speller.stages.backbone, speller.stages.stages
    rows, device = [one.tokens for one in scripts], backbone.device
    batch = make_batch(rows, backbone.config, device=device, packed=False)
    sites = [Site(stages[part].last, "resid") for part in parts]
    states = backbone.graded(batch.inputs, sites)
    for part, site in zip(parts, sites, strict=True):
        at = [
            (place, token, int(row))
            for place, row in enumerate(batch.order)
            for token in range(*scripts[row].spans[part])
        ]
        place, token, row = torch.tensor(at, device=device).T
        words = speller.logits(part, states[site][place, token - 1])
        yield ScriptReading(words, batch.inputs["input_ids"][place, token], row)


class TokenLosses(NamedTuple):
    """For each row the sum of minus log p over the tokens of a part, in nats, and the
    number of tokens."""

    nats: Float[np.ndarray, " n"]
    tokens: Int[np.ndarray, " n"]

    @property
    def perplexity(self) -> float:
        """exp of the mean loss of all tokens, the end token among them."""
        return float(np.exp(self.nats.sum() / self.tokens.sum()))


@torch.inference_mode()
def token_losses(speller: Speller, scripts: Sequence[Script], part: int) -> TokenLosses:
    """The losses of a part of each sequence, given all tokens before it."""
    nats, counts = np.zeros(len(scripts)), np.zeros(len(scripts), int)
    order = np.argsort([len(one.tokens) for one in scripts], kind="stable")
    for start in range(0, len(scripts), _BATCH):
        some = order[start : start + _BATCH]
        (said,) = read_scripts(speller, [scripts[row] for row in some], [part])
        loss = nn.functional.cross_entropy(said.logits, said.tokens, reduction="none")
        rows = some[said.rows.cpu().numpy()]
        np.add.at(nats, rows, loss.double().cpu().numpy())
        np.add.at(counts, rows, 1)
    return TokenLosses(nats, counts)
