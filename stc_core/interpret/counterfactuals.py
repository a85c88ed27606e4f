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


class _Trials:
    """The probabilities of one text after some changes; each new text is read once.

    `label` is the class of the text as it is; `left` more texts may be read.
    """

    def __init__(
        self, text: str, predict: Predict, *, blank: str | None, most: int
    ) -> None:
        self.text, self.blank = text, blank
        self.predict, self.most = predict, most
        self.known: dict[str, np.ndarray] = {}
        self.unchanged = self([()])[0]
        self.label = int(self.unchanged.argmax())

    @property
    def left(self) -> int:
        return self.most - len(self.known)

    def __call__(self, steps: Iterable[tuple[Change, ...]]) -> list[np.ndarray]:
        texts = [self.changed(step) for step in steps]
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        if new:
            self.known |= dict(zip(new, self.predict(new), strict=True))
        return [self.known[text] for text in texts]

    def changed(self, changes: tuple[Change, ...]) -> str:
        return changed_text(self.text, changes, self.blank)

    def lead(self, shares: Float[np.ndarray, " n_class"]) -> float:
        """The lead of the label over the best other one; negative if it is behind."""
        others = np.delete(shares, self.label)
        return float(shares[self.label] - others.max(initial=0.0))

    def flips(self, shares: Float[np.ndarray, " n_class"]) -> bool:
        """Whether a class other than `label` is the most probable."""
        return int(shares.argmax()) != self.label


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
    trials = _Trials(text, predict, blank=blank, most=most_forwards)
    options = _options(words, blank)
    best: tuple[Change, ...] = ()
    lead, flipped = trials.lead(trials.unchanged), list[tuple[Change, ...]]()
    while not flipped and len(best) < MOST_CHANGES:
        steps = _next_steps(trials, best, options)[: trials.left]
        if not steps:
            break
        shares = trials(steps)
        leads = [trials.lead(share) for share in shares]
        best, lead = steps[int(np.argmin(leads))], min(leads)
        flipped = _needed_flips(trials, steps, shares)
    flips = [_flip(trials, changes, classes) for changes in flipped]
    flips.sort(key=lambda flip: (len(flip.changes), -flip.probability))
    return CounterfactualSearch(
        classes[trials.label],
        tuple(flips[:most_flips]),
        len(trials.known),
        best,
        max(lead, 0.0),
    )


def _flip(trials: _Trials, changes: tuple[Change, ...], classes: Sequence[str]) -> Flip:
    share = trials([changes])[0]
    label = classes[int(share.argmax())]
    return Flip(changes, trials.changed(changes), label, float(share.max()))


def _next_steps(
    trials: _Trials, changes: tuple[Change, ...], options: Sequence[Change]
) -> list[tuple[Change, ...]]:
    """`changes` with one more of `options` each; a step leaves at least one word."""
    taken = {change.start for change in changes}
    steps = [(*changes, option) for option in options if option.start not in taken]
    return [step for step in steps if trials.changed(step).strip()]


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


def _needed_flips(
    trials: _Trials, steps: Sequence[tuple[Change, ...]], shares: Sequence[np.ndarray]
) -> list[tuple[Change, ...]]:
    """The steps that flip the label, without needless changes, each set once."""
    needed = [
        _needed_changes(trials, step)
        for step, share in zip(steps, shares, strict=True)
        if trials.flips(share)
    ]
    return list({frozenset(changes): changes for changes in needed}.values())


def _needed_changes(trials: _Trials, changes: tuple[Change, ...]) -> tuple[Change, ...]:
    """`changes` without those that the flip does not need, tested one by one."""
    for change in changes:
        fewer = tuple(other for other in changes if other != change)
        if len(fewer) and trials.left and trials.flips(trials([fewer])[0]):
            changes = fewer
    return changes


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
