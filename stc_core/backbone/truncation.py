"""The number of texts that a backbone would cut, from a sample and the tokenizer alone.

Neither torch nor the model is loaded, so that looking at a table stays fast.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer

from stc_core.backbone.loading.hub import resolve
from stc_core.config import DEFAULT_BACKBONE, MAX_LENGTH

MOST_SAMPLED = 2000
CHARACTERS_PER_TOKEN = 16
"""Only so many characters per token are counted: enough for any limit in practice."""


class _Cut(NamedTuple):
    """Of `n` texts of a sample, `n_cut` have more than `max_length` tokens."""

    n_cut: int
    n: int
    max_length: int


def sample_truncation(
    texts: Sequence[str], name: str = DEFAULT_BACKBONE, *, most: int = MOST_SAMPLED
) -> _Cut | None:
    """The numbers of sampled texts and of those that the backbone `name` would cut.

    The backbone must be on this machine. The sample is all texts, or `most` at random,
    the same ones each time. None without a fast tokenizer, the only kind that can count
    so many texts quickly.
    """
    folder = resolve(name)
    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    rows = np.arange(len(texts))
    if len(texts) > most:
        rows = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
    limit = _limit(folder)
    beginnings = [texts[int(row)][: CHARACTERS_PER_TOKEN * limit] for row in rows]
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        # Imported here: it loads transformers, which is slow and needed only now.
        from stc_core.backbone.loading.loading_errors import tokenizer_fault

        raise tokenizer_fault(f"backbone {name!r}", folder, error) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    n_cut = sum(
        len(encoding.ids) > limit
        for encoding in tokenizer.encode_batch_fast(beginnings)
    )
    return _Cut(n_cut, len(rows), limit)


def _limit(folder: Path) -> int:
    """The tokens read by default: MAX_LENGTH, or the model's limit if that is lower."""
    limits = [MAX_LENGTH]
    for name, key in (
        ("config.json", "max_position_embeddings"),
        ("tokenizer_config.json", "model_max_length"),
    ):
        if (folder / name).is_file():
            value = json.loads((folder / name).read_text("utf-8")).get(key)
            limits += [int(value)] if value and value > 0 else []
    return min(limits)
