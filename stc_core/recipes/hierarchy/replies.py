"""What is to be written after the labels of each row, as tokens."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.spelling import positions
from stc_core.data.corpus import Corpus
from stc_core.frames import series
from stc_core.recipe_settings import LONGEST, HierarchyConfig


class Replies(NamedTuple):
    """For each row of a corpus the tokens of its parts, each closed by its end token.

    A part longer than `length` tokens is cut and then has no end token, so that a model
    does not learn to stop there. `n_cut` counts the rows with a part that was cut.
    """

    parts: tuple[str, ...]
    length: int
    tokens: list[list[np.ndarray]]
    n_cut: int


def part_length(backbone: Backbone, wish: HierarchyConfig) -> int:
    """The most tokens of a part: as set, else 64 or a quarter of the text's length."""
    return wish.reply_length or min(LONGEST, positions(backbone) // 4)


def replies_of(
    corpus: Corpus, backbone: Backbone, wish: HierarchyConfig, *, end: int
) -> Replies:
    """The parts that the columns of the corpus name, as the backbone writes them."""
    parts = tuple(corpus.columns.written)
    length = part_length(backbone, wish)
    tokens: list[list[np.ndarray]] = [[] for _ in range(len(corpus.frame))]
    cut = np.zeros(len(tokens), bool)
    for part in parts:
        texts = series(corpus.frame, part).tolist()
        for row, ids in enumerate(_encoded(backbone, texts, end)):
            long = len(ids) > length
            cut[row] |= long
            close = [] if long and part == parts[-1] else [end]
            tokens[row].append(np.array([*ids[:length], *close]))
    return Replies(parts, length, tokens, int(cut.sum()))


def _encoded(backbone: Backbone, texts: Sequence[str], end: int) -> list[list[int]]:
    """The tokens of texts without end tokens, which mark the end of a part alone."""
    found = backbone.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return [[token for token in ids if token != end] for ids in found]  # pyright: ignore
