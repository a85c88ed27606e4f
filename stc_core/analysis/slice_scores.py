"""Scores of one slice beside another: by class, by length, by the user's columns."""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int, Shaped

from stc_core.analysis.slices import COLUMN, Slice
from stc_core.data.statistics import text_lengths
from stc_core.frames import series
from stc_core.metrics.scores import wilson_interval

LENGTHS = 5
"""Bins of length, with about as many texts in each."""


def slice_scores(table: pd.DataFrame, facets: pd.DataFrame) -> pd.DataFrame:
    """A row per slice: by, value, slice (as text), n, accuracy, low, high, from_rest.

    `table` is of `examples`, `facets` has its columns `column:NAME`, row by row. The
    interval is Wilson's, 95 %; `from_rest` is the accuracy minus that of all other
    rows, NaN without any. First come those that are worse for sure: by the upper bound.
    """
    texts = series(table, "text")
    # A column of the user's may be called class or length, too: `by` is no key.
    keys = [("class", "label", series(table, "label").to_numpy())]
    words = text_lengths(texts)["words"].to_numpy()
    keys.append(("length", "length", length_bins(words)))
    for name in map(str, facets.columns):
        keys.append((name.removeprefix(COLUMN), name, facets[name].to_numpy()))
    correct = table["correct"].to_numpy(bool)
    parts = [
        _scores(correct, values).assign(by=by, name=name) for by, name, values in keys
    ]
    found = pd.concat(parts, ignore_index=True)
    pairs = zip(found["name"], found["value"], strict=True)
    found["slice"] = [str(Slice.of([pair])) for pair in pairs]
    columns = ["by", "value", "slice", "n", "accuracy", "low", "high", "from_rest"]
    return found.sort_values("high", kind="stable", ignore_index=True).loc[:, columns]


def length_bins(words: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    """'0-9', '10-14', ..., '40-' for each count: LENGTHS quantiles of them, or fewer
    where many are alike. They meet without a gap, as parts of a slice do."""
    if not len(words):
        return np.array([], dtype=object)
    marks = np.arange(1, LENGTHS) / LENGTHS
    cuts = np.quantile(words, marks, method="closest_observation").astype(int) + 1
    starts = np.array([0, *(cut for cut in np.unique(cuts) if cut <= words.max())])
    ends = [str(start - 1) for start in starts[1:]] + [""]
    names = np.array(
        [f"{start}-{end}" for start, end in zip(starts, ends, strict=True)],
        dtype=object,
    )
    return names[np.searchsorted(starts, words, side="right") - 1]


def _scores(
    correct: Bool[np.ndarray, " n"], values: Shaped[np.ndarray, " n"]
) -> pd.DataFrame:
    codes, names = pd.factorize(values, sort=True)
    n = np.bincount(codes, minlength=len(names))
    hits = np.bincount(codes, correct, len(names))
    low, high = wilson_interval(hits, n)
    others = len(correct) - n
    rest = (correct.sum() - hits) / np.where(others > 0, others, np.nan)
    return pd.DataFrame(
        {
            "value": np.asarray(names, dtype=object),
            "n": n,
            "accuracy": hits / n,
            "low": low,
            "high": high,
            "from_rest": hits / n - rest,
        }
    )
