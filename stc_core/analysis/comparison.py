"""A comparison of two classifiers on the test texts that both have scored.

Texts are matched by their words and their label, so the runs may have different splits.
Every difference is the other run (b) minus this run (a).
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
    """A table with example, text, label, predicted, probability of the test rows."""
    rows = predictions.loc[predictions["split"] == "test"]
    at = rows["row"].to_numpy()
    frame = rows.loc[:, ["label", "predicted", "probability"]].reset_index(drop=True)
    frame.insert(0, "example", at)
    frame.insert(1, "text", corpus["text"].to_numpy()[at])
    return frame


def match_texts(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """A table with a row for each text that is in both frames of `on_test`.

    Its columns are text, label and, for each run with the ending _a or _b, example,
    predicted, probability and right. A repeated text is matched as often as it is in
    both frames. Raises StcError if no text with the same label is in both.
    """
    both = _numbered(a).merge(_numbered(b), on=MATCH, suffixes=("_a", "_b"))
    if both.empty:
        n_texts = len(set(a["text"]) & set(b["text"]))
        raise StcError(
            "these two runs",
            expected="test texts, with the same labels, that both have scored",
            got=f"{n_texts:,} texts in both, all with other labels"
            if n_texts
            else f"no common text among {len(a):,} and {len(b):,} test texts",
            remedy="Compare runs with the same table and label column. A split "
            "column or the same seed makes the test texts equal.",
        )
    for end in ("a", "b"):
        both[f"right_{end}"] = both[f"predicted_{end}"] == both["label"]
    return both.drop(columns="copy")


def _numbered(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(copy=frame.groupby(["text", "label"]).cumcount())


def verdict(result: PairedComparison) -> str:
    """The result of `paired` in sentences, as Markdown."""
    right = result.both + result.only_a, result.both + result.only_b
    certain = result.p_value < 1 - _LEVEL
    meaning = "so chance is unlikely" if certain else "so it may well be chance"
    if not certain and not result.low <= 0 <= result.high:
        meaning += ": this test is stricter than the interval, which is a bootstrap"
    points = 100 * result.difference, 100 * result.low, 100 * result.high
    return (
        f"This run is right on **{percent(right[0] / result.n)}** of them, the other "
        f"on **{percent(right[1] / result.n)}**: **{points[0]:+.1f} points** "
        f"(95 %: {points[1]:+.1f} to {points[2]:+.1f}). Only this run is right on "
        f"{result.only_a:,}, only the other on {result.only_b:,}. McNemar's exact p = "
        f"{result.p_value:.2g}, {meaning}."
    )


def class_differences(both: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """A table with a row for each class, the largest gains of b first.

    Its columns are label, n, f1_a, f1_b, difference, low, high. F1 is measured on the
    shared texts only. The intervals are paired: a resample takes a text together with
    both predictions. If a class is neither a label nor a prediction in a resample, its
    F1 there is 0, as in scikit-learn.
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
    differences = pd.DataFrame(
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
    known = differences.loc[differences["n"] > 0]
    return known.sort_values(
        ["difference", "label"], ascending=[False, True]
    ).reset_index(drop=True)


def largest_first(differences: pd.DataFrame) -> pd.DataFrame:
    """The rows of `class_differences`, sorted by the absolute difference."""
    size = np.abs(differences["difference"].to_numpy(float))
    order = np.argsort(-size, kind="stable")
    return differences.iloc[order].reset_index(drop=True)


def differing_classes(differences: pd.DataFrame) -> pd.DataFrame:
    """The rows of `class_differences` whose interval does not contain 0."""
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
    """A sparse matrix (class, case) with 1 where the case has the class."""
    ones, cases = np.ones(len(codes), int), np.arange(len(codes))
    return csr_array((ones, (codes, cases)), shape=(n_class, len(codes)))


def differing_texts(both: pd.DataFrame, which: Which = "differ") -> pd.DataFrame:
    """The rows of `match_texts` with different predictions, the most confident first.

    `which` selects rows: "differ", all; "a", only this run is right; "b", only the
    other is right; "neither", both are wrong in different ways.
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
