"""The words of a text and the pairs of neighbouring words, with their places in it.

A word is a run of letters, digits and marks; any other sign is a word of its own, so a
text of emoji has words, too. So is each sign of a script without spaces: there the
pairs come close to words. An exported graph takes this file along: it needs numpy only.
"""

import re
import unicodedata
from functools import cache
from typing import NamedTuple

import numpy as np

_UNSPACED = (
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
)
"""Japanese kana and Han; Thai, Lao, Burmese and Khmer."""

CharRange = tuple[int, int]
"""The characters `start:end` of a text."""


class Ngrams(NamedTuple):
    """The n-grams of one text: where each stands, and its value.

    `values[g]` is (1 + log n_g) / norm, where n_g counts the n-gram and norm makes the
    sum of the squared values of all n-grams 1. So a value depends on nothing but the
    text. It is the sublinear term frequency of Manning et al. 2008, section 6.4.1.
    """

    places: dict[str, list[CharRange]]
    values: dict[str, float]


@cache
def _word() -> re.Pattern[str]:
    """The pattern of a word; made at the first use, as it looks through Unicode."""
    marks = "".join(
        chr(code)
        for code in range(0x300, 0x10000)
        if unicodedata.category(chr(code)).startswith("M")
    )
    joined = rf"[{re.escape(marks)}\u200c\u200d]"
    letter = rf"(?:(?![{_UNSPACED}])\w)"
    return re.compile(
        rf"[{_UNSPACED}]{joined}*|{letter}(?:{letter}|{joined})*|[^\w\s]{joined}*"
    )


def word_places(text: str) -> list[CharRange]:
    """The characters of each word, in order."""
    return [found.span() for found in _word().finditer(text)]


def ngrams(text: str) -> Ngrams:
    """The words and pairs of words of `text`, in lower case.

    >>> ngrams("Card lost. CARD?").places["card"]
    [(0, 4), (11, 15)]
    """
    spans = word_places(text)
    words = [text[start:end].lower() for start, end in spans]
    places: dict[str, list[CharRange]] = {}
    for word, span in zip(words, spans, strict=True):
        places.setdefault(word, []).append(span)
    for at in range(len(words) - 1):
        pair = f"{words[at]} {words[at + 1]}"
        places.setdefault(pair, []).append((spans[at][0], spans[at + 1][1]))
    counts = np.array([len(found) for found in places.values()], float)
    raw = 1 + np.log(counts)
    norm = float(np.sqrt((raw**2).sum())) or 1.0
    return Ngrams(places, dict(zip(places, (raw / norm).tolist(), strict=True)))
