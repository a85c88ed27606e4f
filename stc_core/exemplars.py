"""Which texts show what a neuron does, and how active it is on each of their tokens."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import Float

from stc_core.axes import Site
from stc_core.explanation import Token

BANDS = {
    "Top quarter": (0.75, 0.99),
    "Second quarter": (0.5, 0.75),
    "Third quarter": (0.25, 0.5),
    "Last quarter": (0.0, 0.25),
}
TOP, LOWEST, RANDOM = "Highest", "Lowest", "Random"


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
    """group, row and value of the texts to show for a neuron, no text twice in a group.

    The highest values, some from each band of quantiles (BANDS), the lowest, and
    random ones: the highest alone make any neuron look tidy. Same seed, same rows.
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(-values.astype(float), kind="stable")
    groups = {TOP: _distinct(order, texts, n_top)}
    rank = np.empty(len(values))
    rank[order[::-1]] = np.arange(len(values)) / max(len(values) - 1, 1)
    for band, (low, high) in BANDS.items():
        inside = np.flatnonzero((rank >= low) & (rank < high))
        rows = _distinct(rng.permutation(inside), texts, n_band)
        groups[band] = sorted(rows, key=lambda row: -values[row])
    groups[LOWEST] = _distinct(order[::-1], texts, n_top)
    groups[RANDOM] = _distinct(rng.permutation(len(values)), texts, n_random)
    found = [
        {"group": group, "row": int(row), "value": float(values[row])}
        for group, rows in groups.items()
        for row in rows
    ]
    return pd.DataFrame(found, columns=["group", "row", "value"])


def _distinct(order: np.ndarray, texts: Sequence[str], most: int) -> list[int]:
    """The first `most` rows whose texts differ in more than case and white space."""
    seen: set[str] = set()
    kept: list[int] = []
    for row in map(int, order):
        key = " ".join(texts[row].casefold().split())
        if key not in seen:
            seen.add(key)
            kept.append(row)
        if len(kept) == most:
            break
    return kept


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


def token_values(
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
