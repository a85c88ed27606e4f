"""The accuracy of slices of the texts: by class, by length, by the user's columns."""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int, Shaped

from stc_core.analysis.slices import COLUMN, Slice
from stc_core.data.statistics import text_lengths
from stc_core.frames import series
from stc_core.metrics.intervals import wilson_interval

LENGTHS = 5
"""The number of bins of length, each with about the same number of texts."""


def slice_scores(table: pd.DataFrame, facets: pd.DataFrame) -> pd.DataFrame:
    """A table with a row for each slice, sorted by the upper bound of its accuracy.

    Its columns are by, value, slice (as text), n, accuracy, low, high, from_rest.
    `table` comes from `examples`, and `facets` has the columns `column:NAME` of the
    same rows. The interval is Wilson's, 95 %. `from_rest` is the accuracy minus that of
    all other rows, NaN if there are none.
    """
    texts = series(table, "text")
    # The user may have a column named class or length, so `by` is not unique.
    keys = [("class", "label", series(table, "label").to_numpy())]
    words = text_lengths(texts)["words"].to_numpy()
    keys.append(("length", "length", length_bins(words)))
    for name in map(str, facets.columns):
        keys.append((name.removeprefix(COLUMN), name, facets[name].to_numpy()))
    correct = table["correct"].to_numpy(bool)
    parts = [
        _scores(correct, values).assign(by=by, name=name) for by, name, values in keys
    ]
    scores = pd.concat(parts, ignore_index=True)
    pairs = zip(scores["name"], scores["value"], strict=True)
    scores["slice"] = [str(Slice.of([pair])) for pair in pairs]
    columns = ["by", "value", "slice", "n", "accuracy", "low", "high", "from_rest"]
    return scores.sort_values("high", kind="stable", ignore_index=True).loc[:, columns]


def length_bins(words: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    """The bin of each number of words, as '0-9', '10-14', ..., '40-'.

    The bins are LENGTHS quantiles, or fewer if many texts have the same length. They
    cover all lengths without a gap, and each is a valid condition of a slice.
    """
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
