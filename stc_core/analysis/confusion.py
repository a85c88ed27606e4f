"""Which classes are confused: the counts, the scores of each class and of a file."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped

from stc_core.config import Repair
from stc_core.data.repairs import mended_label
from stc_core.data.split import TEST
from stc_core.display import interval, percent
from stc_core.frames import equals, records, series
from stc_core.metrics.intervals import (
    accuracy_interval,
    macro_f1_interval,
    wilson_interval,
)
from stc_core.metrics.scores import macro_f1


class Confusion(NamedTuple):
    """`counts[i, j]` rows of class i were predicted as class j."""

    classes: tuple[str, ...]
    counts: Int[np.ndarray, "n_class n_class"]

    def of(self, classes: Sequence[str]) -> "Confusion":
        """The confusion among `classes` only, in this order."""
        at = [self.classes.index(name) for name in classes]
        return Confusion(tuple(classes), self.counts[np.ix_(at, at)])


def confusion(
    labels: Shaped[np.ndarray, " n"],
    predicted: Shaped[np.ndarray, " n"],
    classes: Sequence[str],
) -> Confusion:
    """The counts of rows whose label and prediction are both among `classes`.

    Equals scikit-learn's confusion_matrix(labels=classes).
    """
    n_class, names = len(classes), pd.Index(list(classes))
    true, guess = names.get_indexer_for(labels), names.get_indexer_for(predicted)
    known = (true >= 0) & (guess >= 0)
    cells = np.bincount(true[known] * n_class + guess[known], minlength=n_class**2)
    return Confusion(tuple(classes), cells.reshape(n_class, n_class))


def class_scores(counts: Confusion) -> pd.DataFrame:
    """A table with class, n, predicted, precision, recall and f1 of each class.

    Each score has its 95 % interval (`_low`, `_high`) and is NaN if there is no row to
    count. Precision and recall have Wilson intervals. F1 = 2 s / (1 + s) rises with s,
    the share of right rows among all rows that have the class or are predicted as it.
    So the bounds of s, put into the same formula, are the bounds of F1. Source: Hand,
    Christen & Kirielle 2021 (s is called F* there).
    """
    hits = counts.counts.diagonal()
    n, guessed = counts.counts.sum(axis=1), counts.counts.sum(axis=0)
    frame = pd.DataFrame({"class": counts.classes, "n": n, "predicted": guessed})
    for name, total in (
        ("precision", guessed),
        ("recall", n),
        ("f1", n + guessed - hits),
    ):
        known = np.where(total > 0, total, np.nan)
        low, high = wilson_interval(hits, total)
        for end, share in {"": hits / known, "_low": low, "_high": high}.items():
            score = 2 * share / (1 + share) if name == "f1" else share
            frame[name + end] = np.where(total > 0, score, np.nan)
    return frame


def confused_pairs(confusion: Confusion) -> pd.DataFrame:
    """A table with label, predicted, n and share of each kind of error.

    `share` is the share of the rows with that label. The most frequent error is first.
    """
    counts = confusion.counts
    true, guess = np.nonzero(counts - np.diag(counts.diagonal()))
    n = counts[true, guess]
    names = np.array(confusion.classes, dtype=object)
    frame = pd.DataFrame(
        {
            "label": names[true],
            "predicted": names[guess],
            "n": n,
            "share": n / counts.sum(axis=1)[true],
        }
    )
    order = ["n", "share"]
    return frame.sort_values(order, ascending=False, kind="stable", ignore_index=True)


def most_confused(found: Confusion, most: int) -> list[str]:
    """The classes with the most errors, at most `most`, in the order of the classes.

    An error counts for its label and for its prediction.
    """
    counts = found.counts
    errors = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
    worst = np.argsort(-errors, kind="stable")[:most]
    return [found.classes[i] for i in sorted(worst)]


class FileScore(NamedTuple):
    """How well predictions fit the labels of a file, with 95 % intervals.

    `n` rows count. `unknown` has the number of rows for each label that the classifier
    cannot answer; these rows do not count, nor do rows without a label or a text, nor
    the `learned` ones, whose text the run has learned.
    """

    n: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    macro_f1: float
    macro_f1_interval: tuple[float, float] | None
    confusion: Confusion
    unknown: Mapping[str, int]
    learned: int = 0

    def record(self) -> dict[str, Any]:
        """The scores and each kind of error, as `stc predict --json` prints them."""
        facts = {**self._asdict(), "unknown": dict(self.unknown)}
        del facts["confusion"]
        return facts | {"confused": records(confused_pairs(self.confusion))}

    @property
    def sentence(self) -> str:
        """The scores in a sentence, and what did not count."""
        bounds = self.macro_f1_interval
        f1 = f" ({interval(bounds)})" if bounds else ""
        said = (
            f"Accuracy {percent(self.accuracy)} ({interval(self.accuracy_interval)}), "
            f"macro-F1 {percent(self.macro_f1)}{f1}, on {self.n:,} rows with a label."
        )
        if self.learned:
            rows = "1 row does" if self.learned == 1 else f"{self.learned:,} rows do"
            said += f" {rows} not count, as the run has learned from the text."
        if not self.unknown:
            return said
        names = ", ".join(map(repr, sorted(self.unknown)[:5]))
        more = ", ..." if len(self.unknown) > 5 else ""
        n = sum(self.unknown.values())
        rows = "1 row has a label" if n == 1 else f"{n:,} rows have labels"
        return f"{said} {rows} that the classifier does not know: {names}{more}."


def score_pairs(
    pairs: Mapping[tuple[str, str], int],
    classes: Collection[str],
    repairs: Sequence[Repair] = (),
    *,
    learned: int = 0,
) -> FileScore | None:
    """The score of the rows that have each pair of (label, prediction); '' is none.

    `repairs` are those of the run, by which the labels of the file are read, too.
    `learned` is the number of rows left out of `pairs`, as the run has learned from
    them. None if no row counts.
    """
    counts: Counter[tuple[str, str]] = Counter()
    unknown: Counter[str] = Counter()
    for (label, predicted), n in pairs.items():
        label = mended_label(label.strip(), repairs)
        if not label or not predicted:
            continue
        if label in classes:
            counts[label, predicted] += n
        else:
            unknown[label] += n
    if not counts:
        return None
    rows = list(counts.elements())
    labels, guesses = (np.array(side) for side in zip(*rows, strict=True))
    names, codes = np.unique([*classes, *guesses], return_inverse=True)
    y = np.searchsorted(names, labels)
    guess_codes = codes[len(classes) :]
    right = float(np.mean(labels == guesses))
    return FileScore(
        n=len(rows),
        accuracy=right,
        accuracy_interval=accuracy_interval(right, len(rows)),
        macro_f1=macro_f1(y, guess_codes),
        macro_f1_interval=macro_f1_interval(y, guess_codes, n_class=len(names)).bounds,
        confusion=confusion(labels, guesses, sorted(set(classes) | set(guesses))),
        unknown=dict(unknown),
        learned=learned,
    )


def learned_texts(corpus: pd.DataFrame) -> frozenset[str]:
    """The texts of a run's corpus that are not test texts, without outer spaces."""
    texts = series(corpus, "text")[~equals(corpus, "split", TEST)]
    return frozenset(str(text).strip() for text in texts)
