"""The score of predictions for a file that has labels of its own."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from stc_core.analysis.confusion import Confusion, confusion
from stc_core.config import Repair
from stc_core.data.repairs import mended_label
from stc_core.data.split import TEST
from stc_core.display import interval, percent
from stc_core.frames import equals, series
from stc_core.metrics.intervals import accuracy_interval, macro_f1_interval
from stc_core.metrics.scores import macro_f1


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
