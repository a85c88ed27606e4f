"""The words that raise a class, and those that mislead to it, over many texts."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from stc_core.data.scripts import is_unspaced
from stc_core.errors import StcError
from stc_core.frames import equals, series
from stc_core.interpret.explanation import Token, token_parts, units, words
from stc_core.types import Progress, silent

_STRONGEST = 3
"""The number of words of a text that count: those that raise the class most."""
_MOST_TEXTS = 500
_EDGES = re.compile(r"^\W+|\W+$")
WORD_COLUMNS = ["word", "texts", "share", "mean", "example", "text"]


class ClassWords(NamedTuple):
    """The words that most often raise one class, and those that mislead to it.

    Each table has a row for each word, the commonest first: `texts`, in how many texts
    it is one of the three words that raise the logit most; `share`, the share of the
    texts read; `mean`, its mean contribution to the logit there; and the text in which
    it is largest, with its position in the corpus. `raising` is from the `n_right`
    texts that are rightly predicted as the class, `misleading` from the `n_wrong` ones
    that are wrongly predicted as it. `n_all` texts are predicted as it in all.
    """

    raising: pd.DataFrame
    misleading: pd.DataFrame
    n_right: int
    n_wrong: int
    n_all: int

    def joined(self) -> pd.DataFrame:
        """Both tables as one, with the column `effect` first."""
        parts = {"raises": self.raising, "misleads": self.misleading}
        frame = pd.concat([part.assign(effect=name) for name, part in parts.items()])
        return pd.DataFrame(frame[["effect", *WORD_COLUMNS]])


def class_words(
    examples: pd.DataFrame,
    label: str,
    explain: Callable[[str], dict[str, Any]],
    *,
    split: str = "test",
    most: int = _MOST_TEXTS,
    progress: Progress = silent,
) -> ClassWords:
    """The words for `label` in the texts of `split` that are predicted as `label`.

    `examples` are those of a run, as `example_table` gives them. `explain` gives the
    explanation of a text, such as that of the run's classifier. If there are more than
    `most` texts, those read are spread evenly over all. Raises StcError if no text has
    the label or is predicted as it.
    """
    known = sorted(set(examples["label"]) | set(examples["predicted"]))
    if label not in known:
        raise StcError(
            f"class {label!r}", expected=f"one of {', '.join(map(repr, known[:20]))}"
        )
    of_class = equals(examples, "split", split) & equals(examples, "predicted", label)
    rows = np.flatnonzero(of_class)
    chosen = rows[np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(int)]
    is_right = equals(examples, "label", label)[chosen]
    texts = [str(text) for text in series(examples, "text").iloc[chosen]]
    places = examples["example"].to_numpy()[chosen]
    found: list[list[Token]] = []
    for done, text in enumerate(texts):
        progress(done, len(texts))
        found.append(strongest_words(text, token_parts(explain(text), label)))
    right, wrong = np.flatnonzero(is_right), np.flatnonzero(~is_right)
    return ClassWords(
        _counted(right, found, places, texts),
        _counted(wrong, found, places, texts),
        len(right),
        len(wrong),
        len(rows),
    )


def strongest_words(text: str, tokens: Sequence[Token]) -> list[Token]:
    """The different words of `text` that raise the class most, at most three.

    A word that occurs twice counts with the sum. In a script without spaces each token
    is a word.
    """
    parts = units(text, tokens) if is_unspaced(text) else words(text, tokens)
    values: dict[str, float] = defaultdict(float)
    for part in parts:
        if not part.special and (word := _EDGES.sub("", part.text).casefold()):
            values[word] += part.value
    best = sorted(values, key=lambda word: -values[word])[:_STRONGEST]
    return [
        Token(0, len(word), word, values[word]) for word in best if values[word] > 0
    ]


def _counted(
    which: np.ndarray,
    found: Sequence[Sequence[Token]],
    rows: np.ndarray,
    texts: Sequence[str],
) -> pd.DataFrame:
    """The table of the words found in the texts at `which`."""
    places: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for place in which.tolist():
        for word in found[place]:
            places[word.text].append((word.value, place))
    lines = list(_lines(places, len(which), rows, texts))
    frame = pd.DataFrame(lines, columns=WORD_COLUMNS)
    order = ["texts", "mean"]
    return frame.sort_values(order, ascending=False, kind="stable", ignore_index=True)


def _lines(
    places: dict[str, list[tuple[float, int]]],
    n: int,
    rows: np.ndarray,
    texts: Sequence[str],
) -> Iterator[tuple[str, int, float, float, int, str]]:
    for word, values in places.items():
        mean = float(np.mean([value for value, _ in values]))
        best = max(values)[1]
        count = len(values)
        yield word, count, count / n, mean, int(rows[best]), texts[best]
