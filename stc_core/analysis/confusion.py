"""Which class is taken for which: counts, and the scores of each class."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped

from stc_core.metrics.scores import wilson_interval


class Confusion(NamedTuple):
    """`counts[i, j]` rows of class i were taken for class j; classes as given."""

    classes: tuple[str, ...]
    counts: Int[np.ndarray, "n_class n_class"]

    def of(self, classes: Sequence[str]) -> "Confusion":
        """The rows and columns of some classes, in this order."""
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


def class_scores(found: Confusion) -> pd.DataFrame:
    """A row per class: class, n, predicted, precision, recall, f1, each with its 95 %
    interval (`_low`, `_high`); NaN where nothing is there to count.

    Precision and recall have Wilson's interval. F1 = 2 s / (1 + s) rises with the share
    s of right ones among all rows that are of the class or taken for it, so its bounds
    are those of s, put into the same formula. Source: Hand, Christen & Kirielle 2021
    (there s is F*).
    """
    hits = found.counts.diagonal()
    n, guessed = found.counts.sum(axis=1), found.counts.sum(axis=0)
    frame = pd.DataFrame({"class": found.classes, "n": n, "predicted": guessed})
    for name, of in (("precision", guessed), ("recall", n), ("f1", n + guessed - hits)):
        known = np.where(of > 0, of, np.nan)
        low, high = wilson_interval(hits, of)
        for end, share in {"": hits / known, "_low": low, "_high": high}.items():
            score = 2 * share / (1 + share) if name == "f1" else share
            frame[name + end] = np.where(of > 0, score, np.nan)
    return frame


def confused_pairs(found: Confusion) -> pd.DataFrame:
    """label, predicted, n and share (of the rows of that label) of each kind of error,
    the most frequent first."""
    counts = found.counts
    true, guess = np.nonzero(counts - np.diag(counts.diagonal()))
    n = counts[true, guess]
    names = np.array(found.classes, dtype=object)
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
    """At most `most` classes, those with most errors to or from them, in the order of
    the classes."""
    counts = found.counts
    errors = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
    worst = np.argsort(-errors, kind="stable")[:most]
    return [found.classes[i] for i in sorted(worst)]
