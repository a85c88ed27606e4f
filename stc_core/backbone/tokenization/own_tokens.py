"""A text's own tokens: those that the tokenizer did not add around it."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from stc_core.backbone.packing import Batch
from stc_core.backbone.pooling import Group, pool, view

Marks = Sequence[Bool[np.ndarray, " _"]]
"""For each text, which of its tokens count."""


def added_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The ids that the tokenizer adds to any text: its ids for the empty text."""
    return frozenset(tokenizer("")["input_ids"])


def blank_ids(
    tokenizer: PreTrainedTokenizerBase, ids: Int[np.ndarray, " pos"]
) -> Int[np.ndarray, " pos"]:
    """`ids` with a blank token in the place of every token but the added ones.

    Blank is the padding, unknown or end token, whichever the tokenizer has first.
    """
    known = (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.eos_token_id)
    blank = next((token for token in known if isinstance(token, int)), 0)
    return np.where(np.isin(ids, sorted(added_ids(tokenizer))), ids, blank)


def own_tokens(ids: Sequence[np.ndarray], added: frozenset[int]) -> Marks:
    """The tokens that are not among `added`; all tokens if there are no others."""
    return [_some(~np.isin(row, list(added))) for row in ids]


def shift_marks(marks: Marks) -> Marks:
    """The marks as a decoder reads them: a start token, then all but the last."""
    return [_some(np.concatenate([[False], row[:-1]])) for row in marks]


def _some(row: np.ndarray) -> np.ndarray:
    """The marks themselves; all true if none is."""
    return row if row.any() else np.ones_like(row)


def marked_mean(
    hidden: Float[Tensor, "rows pos d_feat"], batch: Batch, marks: Marks
) -> Float[Tensor, "texts d_feat"]:
    """The mean state of each text's marked tokens, float32, in the batch's order.

    `marks` are in the order of the texts before they were sorted.
    """
    rows = [marks[text] for text in batch.order]
    if batch.packed:
        return torch.cat([_in_group(hidden, group, rows) for group in batch.groups])
    keep = np.zeros(tuple(batch.mask.shape), bool)
    for position, row in enumerate(rows):
        keep[position, : len(row)] = row
    return pool(hidden, torch.from_numpy(keep).to(hidden.device), "mean")


def _in_group(hidden: Tensor, group: Group, rows: Marks) -> Tensor:
    kept = torch.from_numpy(np.stack(rows[group.start : group.stop]))
    return pool(view(hidden, group, packed=True), kept.to(hidden.device), "mean")
