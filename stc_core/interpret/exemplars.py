"""Which texts show what a neuron does, and how active it is on each of their tokens."""

import re
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import Float

from stc_core.interpret.explanation import Token
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
"""Texts with this share of their words in common are shown as one."""
MOST_SEEN = 400
_WORD, _NUMBER = re.compile(r"\w+"), re.compile(r"\d+")


@runtime_checkable
class Reader(Protocol):
    """What reads tokens: `Backbone`, or anything of its shape."""

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
    """group, row, value and `alike` of the texts to show for a neuron.

    The highest values, some from each band of quantiles (BANDS), the lowest, and
    random ones: the highest alone make any neuron look tidy. No text is alike another
    one of its group (`alike`): those that were passed over for it are the rows in
    `alike`. Same seed, same rows.
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(-values.astype(float), kind="stable")
    groups = {TOP: _apart(order, texts, n_top)}
    rank = np.empty(len(values))
    rank[order[::-1]] = np.arange(len(values)) / max(len(values) - 1, 1)
    for band, (low, high) in BANDS.items():
        inside = np.flatnonzero((rank >= low) & (rank < high))
        found = _apart(rng.permutation(inside), texts, n_band)
        groups[band] = dict(sorted(found.items(), key=lambda one: -values[one[0]]))
    groups[LOWEST] = _apart(order[::-1], texts, n_top)
    groups[RANDOM] = _apart(rng.permutation(len(values)), texts, n_random)
    rows = [
        {"group": group, "row": row, "value": float(values[row]), "alike": tuple(same)}
        for group, found in groups.items()
        for row, same in found.items()
    ]
    return pd.DataFrame(rows, columns=["group", "row", "value", "alike"])


def _apart(order: np.ndarray, texts: Sequence[str], most: int) -> dict[int, list[int]]:
    """The first `most` rows that are not alike, each with those passed over for it.

    Of MOST_SEEN rows at most, so that a corpus of one text costs no more than others.
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
    """True if two sets of words share ALIKE of all that are in either (Jaccard)."""
    return len(a & b) >= _ALIKE * len(a | b)


def _words(text: str) -> frozenset[str]:
    """The words of a text whatever their order, case and numbers; signs alone count
    where there is no word."""
    bare = _NUMBER.sub("0", text.casefold())
    return frozenset(_WORD.findall(bare) or bare.split())


def shading(rows: Sequence[Sequence[Token]]) -> tuple[float, float]:
    """The values with no and with full colour, the same for all the texts shown.

    None is at 0, or at the median of a neuron that goes far below 0. Special
    tokens, often extreme, set the scale only where no word is active.
    """
    words = [token.value for row in rows for token in row if not token.special]
    every = [token.value for row in rows for token in row]
    values = words if max(words, default=0.0) > 0 else every
    low, high = min(values, default=0.0), max(values, default=0.0)
    floor = 0.0 if low >= -0.25 * high else float(np.median(values))
    return floor, high


def activations_by_token(
    backbone: Reader, texts: Sequence[str], *, site: Site, index: int
) -> list[list[Token]]:
    """For each text its tokens with the activation of neuron `index` at `site`.

    A decoder that follows an encoder reads its text shifted right by one token: there
    a value belongs to the token that is read, and the last token is not read.
    """
    ids = backbone.tokenize(texts).ids
    found = backbone.token_activations(ids, [site])
    shifted = backbone.reads_shifted(site)
    values = [layers[site][:, index].tolist() for layers in found]
    return [
        _tokens(text, backbone.spans(text), row, shifted)
        for text, row in zip(texts, values, strict=True)
    ]


def _tokens(text: str, spans: Any, values: list[float], shifted: bool) -> list[Token]:
    places = [(start, end, name) for start, end, name in spans]
    if shifted:
        places = [(0, 0, "[start]"), *places[:-1]]
    return [
        Token(start, end, text[start:end] or name, value)
        for (start, end, name), value in zip(places, values, strict=True)
    ]


def pooled_value(tokens: Sequence[Token], pooling: Pooling) -> float:
    """What the head reads of these tokens, special ones included."""
    values = np.array([token.value for token in tokens])
    return float(POOLING_RULES[pooling].shares(values) @ values)


def standing(value: float, values: Float[np.ndarray, " n"]) -> str:
    """'higher than 97 % of 853 texts'; of a median 'higher than 50 % ...'."""
    below = 100 * float(np.mean(values < value))
    return f"higher than {below:.0f} % of {len(values):,} texts"
