"""The characters of a text that each of its tokens stands for, by one rule.

1. A token has whole user-perceived characters (grapheme clusters), also if it stands
   only for a part of one: a byte of a letter, a jamo of a Korean syllable, a letter
   without its accent. Tokens that stand for parts of the same cluster share it.
2. A token for which the tokenizer names no character has the characters between its
   neighbours that no other token has, without the white space around them. If there are
   none, it shares the characters of the token that follows, or else precedes.
3. Tokens that were added around the text have no characters.

Every other character is in a gap between tokens: it is white space, or the model does
not read it because the tokenizer drops it or has cut the text.
"""

from collections.abc import Sequence
from itertools import groupby

import regex

Offsets = tuple[int, int]
"""Characters `start:end` of a text; none if `start == end`."""
_CLUSTER = regex.compile(r"\X")


def cover(
    text: str, places: Sequence[Offsets], added: Sequence[bool], *, read: Offsets
) -> list[Offsets]:
    """The place of each token, from the places that the tokenizer names.

    `read` is the part of the text that was not cut off; if it is empty, no token has a
    character. Otherwise only `added` tokens have none. Starts and ends never fall from
    a token to the next one, and no place begins or ends inside of a cluster.
    """
    known = _in_whole_clusters(text, places, added)
    own = [number for number, is_added in enumerate(added) if not is_added]
    runs = [list(run) for _, run in groupby(own, key=lambda n: known[n] is None)]
    for position, run in enumerate(runs):
        if known[run[0]] is not None:
            continue
        before = known[runs[position - 1][-1]] if position else None
        after = known[runs[position + 1][0]] if position + 1 < len(runs) else None
        start = before[1] if before else read[0]
        end = after[0] if after else read[1]
        place = _without_space(text, start, end) or after or before
        for number in run:
            known[number] = place
    spans: list[Offsets] = []
    for place in known:
        last = spans[-1][1] if spans else 0
        spans.append(place or (last, last))
    return spans


def _in_whole_clusters(
    text: str, places: Sequence[Offsets], added: Sequence[bool]
) -> list[Offsets | None]:
    """Each place with the rest of its clusters, in order; None for an empty place."""
    clusters = [match.span() for match in _CLUSTER.finditer(text)]
    cluster_of = [span for span in clusters for _ in range(*span)]
    known: list[Offsets | None] = []
    low = high = 0
    for (start, end), is_added in zip(places, added, strict=True):
        start, end = max(start, 0), min(end, len(text))
        if is_added or start >= end:
            known.append(None)
            continue
        low = max(low, cluster_of[start][0])
        high = max(high, cluster_of[end - 1][1])
        known.append((low, high))
    return known


def _without_space(text: str, start: int, end: int) -> Offsets | None:
    """The place without the clusters of white space around its others.

    All of it if there are no others; None if it is empty.
    """
    clusters = [match.span() for match in _CLUSTER.finditer(text, start, end)]
    visible = [span for span in clusters if not text[slice(*span)].isspace()]
    shown = visible or clusters
    return (shown[0][0], shown[-1][1]) if shown else None
