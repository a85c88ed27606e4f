"""Leave one out: what the logits lose if a word is taken out of the text.

The exact split says how much of a logit was read at a word. Here the model reads the
text again without the word, so the answer is a cause; but two words that say the same
each seem to be worth little. Source: Li et al. 2016 (arXiv 1612.08220).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from stc_core.classifiers.base import BaseClassifier
from stc_core.errors import StcError
from stc_core.interpret.counterfactuals import Change, changed_text
from stc_core.interpret.explanation import Token, units, words

MOST_LEFT_OUT_PIECES = 64
"""A text of more words is left out in so many pieces of neighbouring words: one text
is then answered in a second or two."""
Answer = Callable[[list[str]], Float[np.ndarray, "n n_class"]]
"""A function that gives the logits of texts, a column for each class."""


def read_pieces(text: str, tokens: Sequence[Token]) -> list[Token]:
    """The words of a text that can be left out one by one, of which the model reads
    something.

    In a text of one word, as in a script without spaces, they are its tokens.
    """
    for parts in (words(text, tokens), units(text, tokens)):
        inside = [part for part in parts if not part.special and part.text.strip()]
        if len(inside) > 1:
            return inside
    return []


def joined_pieces(
    text: str, pieces: Sequence[Token], most: int = MOST_LEFT_OUT_PIECES
) -> list[Token]:
    """The pieces; if there are more than `most`, neighbours are joined, evenly.

    The values of joined pieces are added.
    """
    groups = np.array_split(np.arange(len(pieces)), min(most, len(pieces)) or 1)
    out = []
    for group in groups:
        members = [pieces[place] for place in group.tolist()]
        if members:
            start, end = members[0].start, members[-1].end
            value = sum(member.value for member in members)
            out.append(Token(start, end, text[start:end], value))
    return out


def without_pieces(text: str, pieces: Sequence[Token]) -> str:
    """The text without these pieces; the space before each goes, too."""
    changes = [Change(part.start, part.end, part.text, "left out") for part in pieces]
    return changed_text(text, changes, None)


def text_that_is_read(text: str, pieces: Sequence[Token]) -> str:
    """The text up to its last piece.

    What follows is not read. Without this cut it would slide in for a word left out.
    """
    return text[: pieces[-1].end]


def occlude(
    text: str, pieces: Sequence[Token], answer: Answer
) -> Float[np.ndarray, "n_pieces n_class"]:
    """What each logit loses if a piece is left out: positive if the piece speaks for
    the class. All shortened texts are answered in one call."""
    shown = text_that_is_read(text, pieces)
    logits = answer([shown, *(without_pieces(shown, [piece]) for piece in pieces)])
    return logits[0] - logits[1:]


def leave_words_out(
    classifier: BaseClassifier, text: str, *, most: int = MOST_LEFT_OUT_PIECES
) -> dict[str, Any]:
    """How much each logit loses without each word of `text`, ready for JSON.

    `tokens` are the pieces that were left out: `start` and `end` in the text, and the
    loss of each class's logit in `contribution`, as `explain` has it. Each loss is
    measured alone, so they do not sum to the logit. `joined` is true if neighbouring
    words were left out together, as a text of more than `most` words is. Raises
    StcError for a text of one word.
    """
    explanation = classifier.explain(text)
    names = list(explanation["logits"])
    spans = [
        Token(row["start"], row["end"], row["text"], 0.0, row.get("unknown", False))
        for row in explanation["tokens"]
    ]
    single = read_pieces(text, spans)
    if not single:
        raise StcError(
            "text",
            expected="at least two words that the model reads",
            got=repr(text)[:60],
            remedy="Nothing is left of a text whose only word is left out.",
        )
    pieces = joined_pieces(text, single, most)
    lost = occlude(text, pieces, classifier.logits)
    return {
        "text": text,
        "label": explanation["label"],
        "logits": explanation["logits"],
        "joined": len(pieces) < len(single),
        "tokens": [
            {
                "start": piece.start,
                "end": piece.end,
                "text": piece.text,
                "contribution": dict(zip(names, row.tolist(), strict=True)),
            }
            for piece, row in zip(pieces, lost, strict=True)
        ],
    }
