"""The fewest word changes that give a text another label: greedy, and verified.

Words are left out or made blank, those that speak most for the label first. Every
change counts only by what the classifier then says of the text: real forwards, in
batches. Greedy means that a smaller set of changes may have been missed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from stc_core.interpret.explanation import Token, token_parts, words

MOST_FORWARDS = 240
_MOST_WORDS = 24
"""Words that are tried: those that speak most for the label."""
MOST_CHANGES = 6
Predict = Callable[[list[str]], Float[np.ndarray, "n n_class"]]
"""Probabilities of texts, a column for each class."""
How = Literal["left out", "blank"]


class Change(NamedTuple):
    """One word (characters `start:end` of the text), left out or made blank."""

    start: int
    end: int
    word: str
    how: How


class Flip(NamedTuple):
    """Changes that together give the text another label; none can be taken back."""

    changes: tuple[Change, ...]
    text: str
    label: str
    probability: float


class CounterfactualSearch(NamedTuple):
    """The flips found, fewest changes and surest first, after so many forwards.

    Without one: `lead` is what is left of the label's lead after the best changes that
    were `tried`.
    """

    label: str
    flips: tuple[Flip, ...]
    forwards: int
    tried: tuple[Change, ...]
    lead: float


class _Asked:
    """Probabilities of texts, each asked for once; `left` more forwards may be run."""

    def __init__(self, predict: Predict, most: int) -> None:
        self.predict, self.most = predict, most
        self.known: dict[str, np.ndarray] = {}

    @property
    def left(self) -> int:
        return self.most - len(self.known)

    def __call__(self, texts: Iterable[str]) -> list[np.ndarray]:
        texts = list(texts)
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        if new:
            self.known |= dict(zip(new, self.predict(new), strict=True))
        return [self.known[text] for text in texts]


def leading_words(explanation: Mapping[str, Any]) -> list[Token]:
    """The words of an explained text with what they add to the predicted label's logit
    beyond that of the class that comes second."""
    label = explanation["label"]
    chances = explanation["probabilities"]
    others = [name for name in chances if name != label]
    tokens = token_parts(explanation, label)
    if others:
        second = token_parts(explanation, max(others, key=lambda name: chances[name]))
        tokens = [
            token._replace(value=token.value - other.value)
            for token, other in zip(tokens, second, strict=True)
        ]
    return words(explanation["text"], tokens)


def find_flips(
    text: str,
    words: Sequence[Token],
    predict: Predict,
    *,
    classes: Sequence[str],
    blank: str | None = None,
    most_forwards: int = MOST_FORWARDS,
    most_flips: int = 5,
) -> CounterfactualSearch:
    """Fewest changes of the `words` of `text` that give it another label.

    The values of `words` say which are tried first. `blank` is what a word may be
    replaced by: the mask of the tokenizer; None: words are left out only. No text is
    left without a word, and no more than `most_forwards` texts are read.
    """
    asked = _Asked(predict, most_forwards)
    first = asked([text])[0]
    was = int(first.argmax())
    options = _options(words, blank)
    held: tuple[Change, ...] = ()
    lead, flipped = _lead(first, was), {}
    while not flipped and len(held) < MOST_CHANGES:
        taken = {one.start for one in held}
        steps = [(*held, one) for one in options if one.start not in taken]
        steps = [one for one in steps if changed_text(text, one, blank).strip()]
        if not (steps := steps[: asked.left]):
            break
        shares = asked(changed_text(text, step, blank) for step in steps)
        leads = [_lead(share, was) for share in shares]
        held = steps[int(np.argmin(leads))]
        lead = min(leads)
        flipped = {
            frozenset(fewer): fewer
            for step, share in zip(steps, shares, strict=True)
            if int(share.argmax()) != was
            and (fewer := _pruned(text, step, asked, was, blank))
        }
    flips = []
    for changes in flipped.values():
        now = changed_text(text, changes, blank)
        share = asked([now])[0]
        label = classes[int(share.argmax())]
        flips.append(Flip(changes, now, label, float(share.max())))
    flips.sort(key=lambda one: (len(one.changes), -one.probability))
    return CounterfactualSearch(
        classes[was], tuple(flips[:most_flips]), len(asked.known), held, max(lead, 0.0)
    )


def _options(words: Sequence[Token], blank: str | None) -> list[Change]:
    """Every single change that is tried, those of the first words first."""
    inside = [word for word in words if not word.special and word.text.strip()]
    order = sorted(inside, key=lambda word: -word.value)[:_MOST_WORDS]
    hows: tuple[How, ...] = ("left out",) if blank is None else ("left out", "blank")
    return [
        Change(word.start, word.end, word.text.strip(), how)
        for word in order
        for how in hows
    ]


def _pruned(
    text: str, changes: tuple[Change, ...], asked: _Asked, was: int, blank: str | None
) -> tuple[Change, ...]:
    """The same without each change that the flip can do without, one by one."""
    for change in changes:
        fewer = tuple(one for one in changes if one != change)
        if len(fewer) and asked.left:
            share = asked([changed_text(text, fewer, blank)])[0]
            changes = fewer if int(share.argmax()) != was else changes
    return changes


def _lead(shares: Float[np.ndarray, " n_class"], label: int) -> float:
    """How far the label is ahead of the best other one; negative once it is not."""
    others = np.delete(shares, label)
    return float(shares[label] - others.max(initial=0.0))


def changed_text(text: str, changes: Sequence[Change], blank: str | None) -> str:
    """`text` after the changes; a word left out takes the space before it along."""
    for start, end, _, how in sorted(changes, key=lambda one: -one.start):
        before, after = text[:start], text[end:]
        if how == "blank":
            # A token may hold the space in front of its word.
            space = " " if text[start:end][:1].isspace() else ""
            text = f"{before}{space}{blank}{after}"
        elif before.strip():
            text = before.rstrip() + after
        else:
            text = after.lstrip()
    return text
