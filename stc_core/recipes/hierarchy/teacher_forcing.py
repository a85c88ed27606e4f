"""One teacher-forced sequence: text, names of the labels, what is written after them.

Source: HdLM (arXiv 2507.12930). Each part ends with the end token and has a head and a
layer of its own; the text and its end are read, not learned.
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
    """The tokens of a sequence, and where each part of it is, its end token too."""

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

    `tails` are taken as they are: one that was cut has no end.
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
    """What a part's head says before each of its tokens, these, and their rows."""

    logits: Float[Tensor, "token vocabulary"]
    tokens: Int[Tensor, " token"]
    rows: Int[Tensor, " token"]


def read_scripts(
    speller: Speller, scripts: Sequence[Script], parts: Sequence[int]
) -> Iterator[ScriptReading]:
    """For each of `parts` what is said of it in these sequences: one forward."""
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
    """Of each row: minus log p of all tokens of a part, in nats, and how many."""

    nats: Float[np.ndarray, " n"]
    tokens: Int[np.ndarray, " n"]

    @property
    def perplexity(self) -> float:
        """e to the mean of all tokens; the end token counts as one."""
        return float(np.exp(self.nats.sum() / self.tokens.sum()))


@torch.inference_mode()
def token_losses(speller: Speller, scripts: Sequence[Script], part: int) -> TokenLosses:
    """How much a part of each sequence surprises its head, given all before it."""
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
