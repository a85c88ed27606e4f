"""The words that may count, and their values in the rows that are learned from."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix

from stc_core.heads.ngrams import ngrams
from stc_core.heads.word_readout import ngram_matrix

FEWEST_TEXTS = 2
"""A word in fewer of the learned texts says nothing about others."""
MOST_CANDIDATES = 100_000


class Candidates(NamedTuple):
    """The words in several of some texts, and their values in these texts.

    `rows` are the positions of the texts, ascending; `values` has a row for each.
    """

    words: tuple[str, ...]
    rows: Int[np.ndarray, " n"]
    values: csr_matrix

    def at(self, rows: Int[np.ndarray, " k"]) -> csr_matrix:
        """The values of these rows, which must be among `rows`."""
        places = np.searchsorted(self.rows, rows)
        assert (self.rows[places] == rows).all(), "a row without values"
        return self.values[places]


def find_candidates(
    texts: Sequence[str], rows: Int[np.ndarray, " some"]
) -> Candidates | None:
    """The words and pairs in at least FEWEST_TEXTS of the texts at `rows`.

    Those in most texts, MOST_CANDIDATES of them; no label is looked at. None if there
    is no such word.
    """
    rows = np.sort(rows)
    learned: list[str] = [texts[int(row)] for row in rows]
    counts: Counter[str] = Counter()
    for text in learned:
        counts.update(ngrams(text).values.keys())
    known = sorted(
        (name for name, n in counts.items() if n >= FEWEST_TEXTS),
        key=lambda name: (-counts[name], name),
    )[:MOST_CANDIDATES]
    if not known:
        return None
    columns = {name: place for place, name in enumerate(known)}
    return Candidates(tuple(known), rows, ngram_matrix(learned, columns))


def size_of(values: csr_matrix) -> tuple[int, int]:
    """The numbers of rows and of columns."""
    n_rows, n_columns = np.shape(values)  # pyright: ignore
    return n_rows, n_columns


def inverse_frequency(values: csr_matrix) -> Float[np.ndarray, " n_words"]:
    """log((1 + n) / (1 + n_w)) + 1 of each word: n texts, n_w of which have it.

    It is 0 for a word in fewer than FEWEST_TEXTS of them. Source: the smoothed inverse
    document frequency of scikit-learn.
    """
    n_texts, n_words = size_of(values)
    n_with = np.bincount(values.indices, minlength=n_words)
    found = np.log((1 + n_texts) / (1 + n_with)) + 1
    return np.where(n_with >= FEWEST_TEXTS, found, 0.0).astype(np.float32)
