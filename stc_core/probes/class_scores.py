"""Scores by class of the best probe of each pooled site."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import rankdata

from stc_core.data.task import Read, Task
from stc_core.metrics.intervals import wilson_interval
from stc_core.probes.fit import ProbeResult


def class_table(read: Read, task: Task, probes: Sequence[ProbeResult]) -> pd.DataFrame:
    """A row per pooled site and class, with the best probe's validation scores.

    accuracy: the share of the class's texts that the probe assigns to it (its recall),
    with a 95 % interval. macro_f1: the F1 of the class. auc: how well the logit of the
    class ranks its texts above all others (`aucs`). n: the validation texts of the
    class; if there are none, the accuracy is NaN. The columns have the names that
    `probe_table` uses.
    """
    y, frames = task.codes[task.validation], []
    for probe in probes:
        site, pooling = probe.pooled_site
        X = read(probe.pooled_site)[task.validation]
        scores = _scores(y, probe.path.logits(X, probe.best))
        scores.insert(0, "label", list(task.classes))
        site_columns = {"site": str(site), "kind": site.kind, "layer": site.layer}
        frames.append(scores.assign(**site_columns, pooling=pooling))
    return pd.concat(frames, ignore_index=True)


def aucs(
    y: Int[np.ndarray, " n"], logits: Float[np.ndarray, "n n_class"]
) -> Float[np.ndarray, " n_class"]:
    """The area under the ROC curve of each class against the rest, by its logit.

    NaN for a class that no row has or that every row has. Equals scikit-learn's
    roc_auc_score (Mann & Whitney 1947: from ranks, a tie counts half).
    """
    n_class = logits.shape[1]
    ranks, n_positive = rankdata(logits, axis=0), np.bincount(y, minlength=n_class)
    rank_sums = np.array([ranks[y == code, code].sum() for code in range(n_class)])
    pairs = n_positive * (len(y) - n_positive)
    areas = np.full(n_class, np.nan)
    wins = rank_sums - n_positive * (n_positive + 1) / 2
    np.divide(wins, pairs, out=areas, where=pairs > 0)
    return areas


def _scores(
    y: Int[np.ndarray, " n"], logits: Float[np.ndarray, "n n_class"]
) -> pd.DataFrame:
    """A row for each class: its number of rows, recall, F1 and AUC."""
    n_class, guess = logits.shape[1], logits.argmax(axis=1)
    n = np.bincount(y, minlength=n_class)
    hits = np.bincount(y[y == guess], minlength=n_class)
    n_guessed = np.bincount(guess, minlength=n_class)
    recall = np.divide(hits, n, out=np.full(n_class, np.nan), where=n > 0)
    low, high = wilson_interval(hits, n)
    return pd.DataFrame(
        {
            "n": n,
            "accuracy": recall,
            "accuracy_low": low,
            "accuracy_high": high,
            "macro_f1": 2 * hits / np.maximum(n + n_guessed, 1),
            "auc": aucs(y, logits),
        }
    )
