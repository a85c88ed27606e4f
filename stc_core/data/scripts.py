"""The words of a text, also in scripts that put no spaces between them."""

import re

_HAN = re.compile(
    "[\u3040-\u30ff"  # Japanese kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"  # Han
)
_THAI = re.compile(
    "[\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f"  # Burmese
    "\u1780-\u17ff]"  # Khmer
)
SIGNS_PER_WORD = ((_HAN, 2), (_THAI, 5))
"""How many signs of an unspaced script count as one word, which is about the mean."""


def is_unspaced(text: str) -> bool:
    """Whether most letters of `text` are of a script without spaces between words."""
    n = sum(len(script.findall(text)) for script, _ in SIGNS_PER_WORD)
    return 2 * n > sum(map(str.isalpha, text)) if n else False


def count_words(text: str) -> int:
    """The number of words: pieces between spaces, and signs of unspaced scripts by
    their mean number in a word.

    >>> count_words("hello there"), count_words("快递丢了"), count_words("买了 iPhone")
    (2, 2, 2)
    """
    n = 0
    for script, signs in SIGNS_PER_WORD:
        if found := len(script.findall(text)):
            n += -(-found // signs)
            text = script.sub(" ", text)
    pieces = text.split()
    if n:  # what remains between the signs may be punctuation
        pieces = [piece for piece in pieces if any(map(str.isalnum, piece))]
    return n + len(pieces)
