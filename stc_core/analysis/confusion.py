"""Which classes are confused: the counts, and the scores of each class."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped

from stc_core.metrics.intervals import wilson_interval


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
