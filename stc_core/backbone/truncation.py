"""How many texts a backbone would cut, from a sample and its tokenizer alone.

Neither torch nor the model is loaded, so that looking at a table stays quick.
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
"""Only the beginning of a text is counted, long enough for any limit in practice."""


class _Cut(NamedTuple):
    """Of `n` texts of a sample, `n_cut` have more than `max_length` tokens."""

    n_cut: int
    n: int
    max_length: int


def sampled_cut(
    texts: Sequence[str], name: str = DEFAULT_BACKBONE, *, most: int = MOST_SAMPLED
) -> _Cut | None:
    """What the backbone `name`, which is on this machine, would cut of the texts.

    Of all of them, or of `most` at random, the same each time. None without a fast
    tokenizer, which is the only kind that counts so many at once.
    """
    folder = resolve(name)
    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    rows = np.arange(len(texts))
    if len(texts) > most:
        rows = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
    limit = _limit(folder)
    begun = [texts[int(row)][: CHARACTERS_PER_TOKEN * limit] for row in rows]
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        # Imported here: it brings transformers, which a look at a table does without.
        from stc_core.backbone.loading.loading_errors import tokenizer_fault

        raise tokenizer_fault(f"backbone {name!r}", folder, error) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    n_cut = sum(len(one.ids) > limit for one in tokenizer.encode_batch_fast(begun))
    return _Cut(n_cut, len(rows), limit)


def _limit(folder: Path) -> int:
    """Tokens that are read by default: MAX_LENGTH, or what the model can if less."""
    said = [MAX_LENGTH]
    for name, key in (
        ("config.json", "max_position_embeddings"),
        ("tokenizer_config.json", "model_max_length"),
    ):
        if (folder / name).is_file():
            found = json.loads((folder / name).read_text("utf-8")).get(key)
            said += [int(found)] if found and found > 0 else []
    return min(said)
