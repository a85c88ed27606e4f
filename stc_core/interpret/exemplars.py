"""Texts that show what a neuron responds to, and its activation on their tokens."""

import re
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import Float

from stc_core.interpret.explanation import Token, token_of
from stc_core.poolings import POOLING_RULES
from stc_core.types import Pooling, Site

BANDS = {
    "Top quarter": (0.75, 0.99),
    "Second quarter": (0.5, 0.75),
    "Third quarter": (0.25, 0.5),
    "Last quarter": (0.0, 0.25),
}
TOP, LOWEST, RANDOM = "Highest", "Lowest", "Random"
_ALIKE = 0.75
"""Texts that share at least this part of their words are shown as one."""
MOST_SEEN = 400
_WORD, _NUMBER = re.compile(r"\w+"), re.compile(r"\d+")


@runtime_checkable
class Reader(Protocol):
    """Anything that reads tokens, such as `Backbone`."""

    def tokenize(self, texts: Sequence[str]) -> Any: ...
    def spans(self, text: str) -> Any: ...
    def reads_shifted(self, site: Site) -> bool: ...
    def token_activations(
        self, ids: Sequence[np.ndarray], sites: Sequence[Site]
    ) -> Any: ...


def pick_texts(
    values: Float[np.ndarray, " n"],
    texts: Sequence[str],
    *,
    n_top: int = 8,
    n_band: int = 4,
    n_random: int = 6,
    seed: int = 0,
) -> pd.DataFrame:
    """A table with group, row, value and alike of the texts to show for a neuron.

    The groups are the highest values, some texts from each band of quantiles (BANDS),
    the lowest values, and random texts: the highest texts alone make any neuron look
    clear. In a group no two texts are alike; the column `alike` holds the rows of the
    similar texts that a text stands for. The same seed gives the same rows.
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(-values.astype(float), kind="stable")
    groups = {TOP: _apart(order, texts, n_top)}
    rank = np.empty(len(values))
    rank[order[::-1]] = np.arange(len(values)) / max(len(values) - 1, 1)
    for band, (low, high) in BANDS.items():
        inside = np.flatnonzero((rank >= low) & (rank < high))
        in_band = _apart(rng.permutation(inside), texts, n_band)
        groups[band] = dict(sorted(in_band.items(), key=lambda item: -values[item[0]]))
    groups[LOWEST] = _apart(order[::-1], texts, n_top)
    groups[RANDOM] = _apart(rng.permutation(len(values)), texts, n_random)
    rows = [
        {"group": group, "row": row, "value": float(values[row]), "alike": tuple(same)}
        for group, picked in groups.items()
        for row, same in picked.items()
    ]
    return pd.DataFrame(rows, columns=["group", "row", "value", "alike"])


def _apart(order: np.ndarray, texts: Sequence[str], most: int) -> dict[int, list[int]]:
    """The first `most` rows that are not alike, each with the similar rows left out.

    At most MOST_SEEN rows are looked at, so that a corpus of equal texts costs no more
    than others.
    """
    kept: dict[int, tuple[frozenset[str], list[int]]] = {}
    for row in map(int, order[:MOST_SEEN]):
        words = _words(texts[row])
        same = next(
            (found for mine, found in kept.values() if alike(mine, words)), None
        )
        if same is not None:
            same.append(row)
        elif len(kept) == most:
            break
        else:
            kept[row] = (words, [])
    return {row: same for row, (_, same) in kept.items()}


def alike(a: frozenset[str], b: frozenset[str]) -> bool:
    """True if the Jaccard similarity of two sets of words is at least _ALIKE."""
    return len(a & b) >= _ALIKE * len(a | b)


def _words(text: str) -> frozenset[str]:
    """The set of words of a text, without case and with all digits alike.

    If the text has no word, its signs count as words.
    """
    bare = _NUMBER.sub("0", text.casefold())
    return frozenset(_WORD.findall(bare) or bare.split())


def shading(rows: Sequence[Sequence[Token]]) -> tuple[float, float]:
    """The values with no colour and with full colour, the same for all texts shown.

    No colour is at 0, or at the median if the neuron goes far below 0. Special tokens
    are often extreme, so they set the scale only if no word is active.
    """
    words = [token.value for row in rows for token in row if not token.special]
    tokens = [token.value for row in rows for token in row]
    values = words if max(words, default=0.0) > 0 else tokens
    low, high = min(values, default=0.0), max(values, default=0.0)
    floor = 0.0 if low >= -0.25 * high else float(np.median(values))
    return floor, high


def activations_by_token(
    backbone: Reader, texts: Sequence[str], *, site: Site, index: int
) -> list[list[Token]]:
    """The tokens of each text with the activation of neuron `index` at `site`.

    A decoder that follows an encoder reads its text shifted right by one token. There a
    value belongs to the token that is read, and the last token is not read.
    """
    ids = backbone.tokenize(texts).ids
    hidden = backbone.token_activations(ids, [site])
    shifted = backbone.reads_shifted(site)
    values = [of_text[site][:, index].tolist() for of_text in hidden]
    return [
        _tokens(text, backbone.spans(text), row, shifted)
        for text, row in zip(texts, values, strict=True)
    ]


def _tokens(text: str, spans: Any, values: list[float], shifted: bool) -> list[Token]:
    read = [(0, 0, "[start]", False), *spans[:-1]] if shifted else spans
    return [
        token_of(text, span, value) for span, value in zip(read, values, strict=True)
    ]


def pooled_value(tokens: Sequence[Token], pooling: Pooling) -> float:
    """The pooled value of these tokens, as the head reads it, with special tokens."""
    values = np.array([token.value for token in tokens])
    return POOLING_RULES[pooling].value(values)


def rank_in_words(value: float, values: Float[np.ndarray, " n"]) -> str:
    """The rank of `value` in words, as 'higher than 97 % of 853 texts'."""
    below = 100 * float(np.mean(values < value))
    return f"higher than {below:.0f} % of {len(values):,} texts"
