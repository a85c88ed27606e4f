"""A comparison of two classifiers on the test texts that both have scored.

Texts are matched by their words and their label, so the runs may have different splits.
Every difference is the other run (b) minus this run (a).
"""

from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Int

from stc_core.analysis.verdict import Standing
from stc_core.display import formatted, percent
from stc_core.errors import StcError
from stc_core.metrics.intervals import LEVEL
from stc_core.metrics.paired import PairedComparison, f1_differences

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


def standing_of(result: PairedComparison) -> Standing:
    """How run a stands beside run b: by the 95 % interval of their difference."""
    if result.low <= 0 <= result.high:
        return "level"
    return "worse" if result.low > 0 else "better"


def verdict(result: PairedComparison) -> str:
    """The result of `paired` in sentences, as Markdown: first who is better."""
    right = result.both + result.only_a, result.both + result.only_b
    certain = result.p_value < 1 - LEVEL
    meaning = "so chance is unlikely" if certain else "so it may well be chance"
    if not certain and not result.low <= 0 <= result.high:
        meaning += ": this test is stricter than the interval"
    lead, low, high = (
        formatted(100 * part, "+.1f")
        for part in (result.difference, result.low, result.high)
    )
    joined = {"better": "better than", "level": "level with", "worse": "worse than"}
    return (
        f"This run is **{joined[standing_of(result)]} the other**. "
        f"It is right on **{percent(right[0] / result.n)}** of the texts, the other "
        f"on **{percent(right[1] / result.n)}**: **{lead} points** "
        f"(95 %: {low} to {high}). Only this run is right on "
        f"{result.only_a:,}, only the other on {result.only_b:,}. McNemar's exact p = "
        f"{result.p_value:.2g}, {meaning}."
    )


def class_differences(both: pd.DataFrame) -> pd.DataFrame:
    """A table with a row for each class, the largest gains of b first.

    Its columns are label, n, f1_a, f1_b, difference, low, high. F1 is measured on the
    shared texts only. The intervals are paired (`f1_differences`), each for itself.
    """
    columns = both[["label", "predicted_a", "predicted_b"]].to_numpy(dtype=str)
    classes, codes = np.unique(columns, return_inverse=True)
    counts = _case_counts(codes.reshape(-1, 3), len(classes))
    f1_a, f1_b, low, high = f1_differences(counts)
    differences = pd.DataFrame(
        {
            "label": classes,
            "n": counts[:, 4:].sum(axis=1),
            "f1_a": f1_a,
            "f1_b": f1_b,
            "difference": f1_b - f1_a,
            "low": low,
            "high": high,
        }
    )
    known = differences.loc[differences["n"] > 0]
    return known.sort_values(
        ["difference", "label"], ascending=[False, True]
    ).reset_index(drop=True)


def _case_counts(
    codes: Int[np.ndarray, "n 3"], n_class: int
) -> Int[np.ndarray, "n_class 8"]:
    """The number of texts in each case of each class, as `f1_differences` takes them.

    A text has one of at most three classes from the label and the two predictions.
    """
    counts = np.zeros((n_class, 8), int)
    for at in range(3):
        code = codes[:, at]
        is_first = (codes[:, :at] != code[:, None]).all(axis=1)
        case = (codes == code[:, None]) @ np.array([4, 2, 1])
        np.add.at(counts, (code[is_first], case[is_first]), 1)
    counts[:, 0] = len(codes) - counts[:, 1:].sum(axis=1)
    return counts


def largest_first(differences: pd.DataFrame) -> pd.DataFrame:
    """The rows of `class_differences`, sorted by the absolute difference."""
    size = np.abs(differences["difference"].to_numpy(float))
    order = np.argsort(-size, kind="stable")
    return differences.iloc[order].reset_index(drop=True)


def differing_classes(differences: pd.DataFrame) -> pd.DataFrame:
    """The rows of `class_differences` whose interval does not contain 0."""
    return differences.loc[(differences["low"] > 0) | (differences["high"] < 0)]


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
