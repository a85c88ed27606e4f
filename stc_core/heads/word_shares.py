"""To which tokens of a text the contributions of its words belong."""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from stc_core.heads.ngrams import CharRange, word_places
from stc_core.heads.word_readout import WordPart


def word_shares(
    parts: Sequence[WordPart], text: str, tokens: Sequence[CharRange], *, n_class: int
) -> tuple[Float[np.ndarray, "n_tokens n_class"], dict[CharRange, np.ndarray]]:
    """What the words add to each logit, by token; and by place where no token stands.

    `tokens` are the characters `start:end` of each token, equal for special ones. A
    contribution is shared equally by all places of its word or pair, and by the two
    words of a pair; that of a word by its tokens, as they have characters of it. A word
    that no token covers, as the model cuts the text before, keeps its own. The shares
    sum to the contributions.
    """
    by_word = _by_word(parts, text)
    out = np.zeros((len(tokens), n_class))
    unread: dict[CharRange, np.ndarray] = {}
    order = sorted(
        (place for place, (start, end) in enumerate(tokens) if start < end),
        key=lambda place: tokens[place],
    )
    starts = [tokens[place][0] for place in order]
    for (start, end), value in by_word.items():
        # Tokens do not nest, but some share the characters of a letter.
        first = max(bisect_right(starts, start) - 1, 0)
        while first and tokens[order[first - 1]][1] > start:
            first -= 1
        common = []
        for place in order[first:]:
            if tokens[place][0] >= end:
                break
            length = min(end, tokens[place][1]) - max(start, tokens[place][0])
            if length > 0:
                common.append((place, length))
        total = sum(length for _, length in common)
        for place, length in common:
            out[place] += value * (length / total)
        if not common:
            unread[start, end] = value
    return out, unread


def _by_word(parts: Sequence[WordPart], text: str) -> dict[CharRange, np.ndarray]:
    """The contribution of each word of the text, by its place, in order."""
    if not parts:
        return {}
    words = word_places(text)
    place_of_start = {start: number for number, (start, _) in enumerate(words)}
    found: dict[int, np.ndarray] = {}
    for part in parts:
        for start, end in part.places:
            first = place_of_start[start]
            inside = [first] if words[first][1] == end else [first, first + 1]
            each = part.contribution / (len(part.places) * len(inside))
            for number in inside:
                found[number] = found.get(number, 0) + each
    return {words[number]: found[number] for number in sorted(found)}
