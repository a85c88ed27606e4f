"""Two classifiers on the test texts that both have scored: who is right where.

Texts are matched by what they say and their label, so runs may have other splits. In
every difference it is the other run (b) minus this one (a).
"""

from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from stc_core.display import percent
from stc_core.errors import StcError
from stc_core.metrics.paired import _LEVEL, RESAMPLES, PairedComparison, _bounds

Which = Literal["differ", "a", "b", "neither"]
MATCH = ["text", "label", "copy"]


def on_test(predictions: pd.DataFrame, corpus: pd.DataFrame) -> pd.DataFrame:
    """example, text, label, predicted, probability of the test rows of a run."""
    rows = predictions.loc[predictions["split"] == "test"]
    at = rows["row"].to_numpy()
    frame = rows.loc[:, ["label", "predicted", "probability"]].reset_index(drop=True)
    frame.insert(0, "example", at)
    frame.insert(1, "text", corpus["text"].to_numpy()[at])
    return frame


def shared(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """A row per text of both `on_test` frames: text, label, and of each run example,
    predicted, probability and right, ending in _a and _b.

    A text that is there several times is matched as often as it is in both. StcError
    when no text with the same label is in both.
    """
    both = _numbered(a).merge(_numbered(b), on=MATCH, suffixes=("_a", "_b"))
    if both.empty:
        some = len(set(a["text"]) & set(b["text"]))
        raise StcError(
            "these two runs",
            expected="test texts, with the same labels, that both have scored",
            got=f"{some:,} texts in both, all with other labels"
            if some
            else f"none in common of {len(a):,} and {len(b):,} test texts",
            remedy="Compare runs of the same table and column of labels; a column "
            "that says the split, or the same seed, gives the same test texts.",
        )
    for end in ("a", "b"):
        both[f"right_{end}"] = both[f"predicted_{end}"] == both["label"]
    return both.drop(columns="copy")


def _numbered(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(copy=frame.groupby(["text", "label"]).cumcount())


def verdict(found: PairedComparison) -> str:
    """What `paired` found, as Markdown."""
    right = found.both + found.only_a, found.both + found.only_b
    certain = found.p_value < 1 - _LEVEL
    said = "which chance seldom gives" if certain else "so it may well be chance"
    if not certain and not found.low <= 0 <= found.high:
        said += ": the test is stricter than the interval, which is the bootstrap's"
    points = 100 * found.difference, 100 * found.low, 100 * found.high
    return (
        f"This run is right on **{percent(right[0] / found.n)}** of them, the other on "
        f"**{percent(right[1] / found.n)}**: **{points[0]:+.1f} points** "
        f"(95 %: {points[1]:+.1f} to {points[2]:+.1f}). {found.only_a:,} are right "
        f"here alone and {found.only_b:,} there alone, McNemar's exact p = "
        f"{found.p_value:.2g}, {said}."
    )


def class_differences(both: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """A row per class: label, n, f1_a, f1_b, difference, low, high; b's gains first.

    F1 is that of the shared texts alone. Intervals are paired: a resample takes a text
    with what both said of it. A class that occurs in a resample neither as a label nor
    as a prediction has F1 0 there, as in scikit-learn.
    """
    columns = both[["label", "predicted_a", "predicted_b"]].to_numpy(dtype=str)
    classes, codes = np.unique(columns, return_inverse=True)
    cases, counts = np.unique(codes.reshape(-1, 3), axis=0, return_counts=True)
    n = len(both)
    drawn = np.random.default_rng(seed).multinomial(n, counts / n, size=RESAMPLES)
    weights = np.vstack([counts, drawn])  # (1 + resamples, cases)
    f1_a = _f1(weights, cases[:, 0], cases[:, 1], len(classes))
    f1_b = _f1(weights, cases[:, 0], cases[:, 2], len(classes))
    difference = f1_b - f1_a
    low, high = _bounds(difference[1:])
    support = np.bincount(cases[:, 0], counts, len(classes)).astype(int)
    found = pd.DataFrame(
        {
            "label": classes,
            "n": support,
            "f1_a": f1_a[0],
            "f1_b": f1_b[0],
            "difference": difference[0],
            "low": low,
            "high": high,
        }
    )
    known = found.loc[found["n"] > 0]
    return known.sort_values(
        ["difference", "label"], ascending=[False, True]
    ).reset_index(drop=True)


def largest_first(differences: pd.DataFrame) -> pd.DataFrame:
    """The rows of `class_differences` by the size of the difference, whichever way."""
    size = np.abs(differences["difference"].to_numpy(float))
    order = np.argsort(-size, kind="stable")
    return differences.iloc[order].reset_index(drop=True)


def differing(differences: pd.DataFrame) -> pd.DataFrame:
    """The rows of `class_differences` whose interval leaves 0 out."""
    return differences.loc[(differences["low"] > 0) | (differences["high"] < 0)]


def _f1(
    weights: Int[np.ndarray, "draws cases"],
    true: Int[np.ndarray, " cases"],
    guess: Int[np.ndarray, " cases"],
    n_class: int,
) -> Float[np.ndarray, "draws n_class"]:
    """F1 of each class in each draw: 2 hits / (labelled + predicted)."""
    on_true, on_guess = (_members(codes, n_class) for codes in (true, guess))
    hits = on_true.multiply(on_guess).tocsr() @ weights.T
    support = (on_true + on_guess) @ weights.T  # (n_class, draws)
    return (2 * hits / np.maximum(support, 1)).T


def _members(codes: Int[np.ndarray, " cases"], n_class: int) -> csr_array:
    """1 where a case is of a class, by class."""
    ones, cases = np.ones(len(codes), int), np.arange(len(codes))
    return csr_array((ones, (codes, cases)), shape=(n_class, len(codes)))


def divided(both: pd.DataFrame, which: Which = "differ") -> pd.DataFrame:
    """The rows of `shared` with other predictions, those that are surest first.

    `a`: this run alone is right; `b`: the other alone; `neither`: both are wrong, and
    not in the same way.
    """
    differ = both["predicted_a"] != both["predicted_b"]
    right = {
        "differ": differ,
        "a": differ & both["right_a"],
        "b": differ & both["right_b"],
        "neither": differ & ~both["right_a"] & ~both["right_b"],
    }[which]
    sure = both["probability_a"] + both["probability_b"]
    order = sure.loc[right].sort_values(ascending=False, kind="stable").index
    return both.loc[order].reset_index(drop=True)
