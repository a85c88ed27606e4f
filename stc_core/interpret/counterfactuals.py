"""The fewest word changes that give a text another label: greedy, and verified.

Words are left out or made blank, beginning with the words that count most for the
label. The classifier reads each changed text, in batches, and only its answer counts.
The search is greedy, so it may miss a smaller set of changes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from stc_core.interpret.explanation import Token, token_parts, words

MOST_FORWARDS = 240
_MOST_WORDS = 24
"""The most words that are tried; they are those that count most for the label."""
MOST_CHANGES = 6
Predict = Callable[[list[str]], Float[np.ndarray, "n n_class"]]
"""A function that gives the probabilities of texts, a column for each class."""
How = Literal["left out", "blank"]


class Change(NamedTuple):
    """One word (characters `start:end` of the text), left out or made blank."""

    start: int
    end: int
    word: str
    how: How


class Flip(NamedTuple):
    """Changes that together give the text another label; all of them are needed."""

    changes: tuple[Change, ...]
    text: str
    label: str
    probability: float


class CounterfactualSearch(NamedTuple):
    """The flips that were found, those with the fewest changes first.

    `forwards` is the number of texts read. If there is no flip, `lead` is the remaining
    lead of the label after the best changes, which are in `tried`.
    """

    label: str
    flips: tuple[Flip, ...]
    forwards: int
    tried: tuple[Change, ...]
    lead: float


class _Answers:
    """The probabilities of texts, each computed once; `left` more may be computed."""

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
    """The words of an explained text with their effect on the lead of the label.

    The effect is the contribution to the logit of the predicted label, minus that to
    the logit of the second class.
    """
    label = explanation["label"]
    shares = explanation["probabilities"]
    others = [name for name in shares if name != label]
    tokens = token_parts(explanation, label)
    if others:
        second = token_parts(explanation, max(others, key=lambda name: shares[name]))
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
    """The fewest changes of the `words` of `text` that give it another label.

    Words with the largest values are tried first. `blank` may replace a word: it is the
    mask of the tokenizer; with None, words are only left out. Each changed text keeps a
    word, and at most `most_forwards` texts are read.
    """
    answers = _Answers(predict, most_forwards)
    first = answers([text])[0]
    was = int(first.argmax())
    options = _options(words, blank)
    best: tuple[Change, ...] = ()
    lead, flipped = _lead(first, was), {}
    while not flipped and len(best) < MOST_CHANGES:
        steps = _next_steps(text, best, options, blank)[: answers.left]
        if not steps:
            break
        shares = answers(changed_text(text, step, blank) for step in steps)
        leads = [_lead(share, was) for share in shares]
        best = steps[int(np.argmin(leads))]
        lead = min(leads)
        flipped = {
            frozenset(fewer): fewer
            for step, share in zip(steps, shares, strict=True)
            if int(share.argmax()) != was
            and (fewer := _pruned(text, step, answers, was, blank))
        }
    flips = []
    for changes in flipped.values():
        new_text = changed_text(text, changes, blank)
        share = answers([new_text])[0]
        label = classes[int(share.argmax())]
        flips.append(Flip(changes, new_text, label, float(share.max())))
    flips.sort(key=lambda flip: (len(flip.changes), -flip.probability))
    found = tuple(flips[:most_flips])
    return CounterfactualSearch(
        classes[was], found, len(answers.known), best, max(lead, 0.0)
    )


def _next_steps(
    text: str,
    changes: tuple[Change, ...],
    options: Sequence[Change],
    blank: str | None,
) -> list[tuple[Change, ...]]:
    """`changes` with one more of `options` each; a step leaves at least one word."""
    taken = {change.start for change in changes}
    steps = [(*changes, option) for option in options if option.start not in taken]
    return [step for step in steps if changed_text(text, step, blank).strip()]


def _options(words: Sequence[Token], blank: str | None) -> list[Change]:
    """Every single change to try, those of the words with the largest values first."""
    inside = [word for word in words if not word.special and word.text.strip()]
    order = sorted(inside, key=lambda word: -word.value)[:_MOST_WORDS]
    hows: tuple[How, ...] = ("left out",) if blank is None else ("left out", "blank")
    return [
        Change(word.start, word.end, word.text.strip(), how)
        for word in order
        for how in hows
    ]


def _pruned(
    text: str,
    changes: tuple[Change, ...],
    answers: _Answers,
    was: int,
    blank: str | None,
) -> tuple[Change, ...]:
    """`changes` without those that the flip does not need, tested one by one."""
    for change in changes:
        fewer = tuple(other for other in changes if other != change)
        if len(fewer) and answers.left:
            share = answers([changed_text(text, fewer, blank)])[0]
            changes = fewer if int(share.argmax()) != was else changes
    return changes


def _lead(shares: Float[np.ndarray, " n_class"], label: int) -> float:
    """The lead of the label over the best other label; negative if it is behind."""
    others = np.delete(shares, label)
    return float(shares[label] - others.max(initial=0.0))


def changed_text(text: str, changes: Sequence[Change], blank: str | None) -> str:
    """`text` after the changes; the space before a left out word goes, too."""
    for start, end, _, how in sorted(changes, key=lambda change: -change.start):
        before, after = text[:start], text[end:]
        if how == "blank":
            # A token may contain the space in front of its word.
            space = " " if text[start:end][:1].isspace() else ""
            text = f"{before}{space}{blank}{after}"
        elif before.strip():
            text = before.rstrip() + after
        else:
            text = after.lstrip()
    return text
