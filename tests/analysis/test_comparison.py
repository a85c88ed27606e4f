"""Paired comparisons against counts by hand, scikit-learn and other tests."""

from math import comb

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from stc_core.analysis.comparison import (
    class_differences,
    differing_classes,
    differing_texts,
    largest_first,
    match_texts,
    on_test,
    standing_of,
    verdict,
)
from stc_core.errors import StcError
from stc_core.metrics.paired import compare_paired


def frame(rows: list[tuple[str, str, str]]) -> pd.DataFrame:
    """example, text, label, predicted, probability as of `on_test`."""
    table = pd.DataFrame(rows, columns=["text", "label", "predicted"])
    return table.assign(example=range(10, 10 + len(table)), probability=0.5)


def cases(both: int, only_a: int, only_b: int, neither: int):
    right_a = np.repeat([True, True, False, False], [both, only_a, only_b, neither])
    right_b = np.repeat([True, False, True, False], [both, only_a, only_b, neither])
    return right_a, right_b


def test_mcnemar_by_hand():
    found = compare_paired(*cases(50, 2, 8, 4))
    assert found[:4] == (50, 2, 8, 4) and found.n == 64
    # Two sides of a coin thrown 10 times: 2 (1 + 10 + 45) / 1024.
    assert found.p_value == pytest.approx(2 * sum(comb(10, k) for k in range(3)) / 1024)
    assert found.difference == pytest.approx(6 / 64)
    assert found.low < found.difference < found.high


@pytest.mark.parametrize("one", [0, 1, 7, 30])
@pytest.mark.parametrize("two", [0, 3, 30, 400])
def test_mcnemar_is_a_binomial_test(one, two):
    known = binomtest(one, one + two).pvalue if one + two else 1.0
    assert compare_paired(*cases(9, one, two, 1)).p_value == pytest.approx(known)


def test_swapped_runs_swap_the_sign():
    one, two = compare_paired(*cases(50, 2, 8, 4)), compare_paired(*cases(50, 8, 2, 4))
    assert one.p_value == two.p_value and one.difference == -two.difference


def test_the_interval_is_that_of_resampled_texts():
    right_a, right_b = cases(120, 20, 35, 25)
    rng = np.random.default_rng(1)
    rows = rng.integers(200, size=(20_000, 200))
    drawn = right_b[rows].mean(axis=1) - right_a[rows].mean(axis=1)
    found = compare_paired(right_a, right_b)
    assert (found.low, found.high) == pytest.approx(
        tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.012
    )


def test_the_interval_agrees_with_the_test():
    assert compare_paired(*cases(100, 0, 20, 5)).low > 0
    close = compare_paired(*cases(100, 10, 11, 5))
    assert close.low < 0 < close.high and close.p_value == 1.0


def test_without_a_dividing_text_there_is_still_doubt():
    found = compare_paired(*cases(30, 0, 0, 10))
    assert found.p_value == 1.0 and found.difference == 0.0
    assert -found.low == found.high == pytest.approx(1.96 * 2**0.5 / 42, abs=1e-4)


def test_texts_are_matched_by_words_and_label_as_often_as_both_have_them():
    a = frame([("x", "p", "p"), ("y", "q", "p"), ("x", "p", "q"), ("z", "p", "p")])
    b = frame([("x", "p", "q"), ("w", "p", "p"), ("z", "q", "q"), ("y", "q", "q")])
    found = match_texts(a, b)
    assert found["text"].tolist() == ["x", "y"]
    assert found["example_a"].tolist() == [10, 11]
    assert found["example_b"].tolist() == [10, 13]
    assert found["right_a"].tolist() == [True, False]
    assert found["right_b"].tolist() == [False, True]


def test_runs_with_no_text_in_common_are_refused():
    a, b = frame([("x", "p", "p")]), frame([("y", "p", "p")])
    with pytest.raises(StcError, match="no common text among 1 and 1 test texts"):
        match_texts(a, b)
    with pytest.raises(StcError, match="1 texts in both, all with other labels"):
        match_texts(a, frame([("x", "fine", "fine")]))


def test_only_test_rows_are_compared():
    predictions = pd.DataFrame(
        {
            "row": [0, 1, 2],
            "split": ["train", "test", "test"],
            "label": ["p", "p", "q"],
            "predicted": ["p", "q", "q"],
            "probability": [0.9, 0.8, 0.7],
        }
    )
    found = on_test(predictions, pd.DataFrame({"text": ["u", "v", "w"]}))
    assert found["example"].tolist() == [1, 2] and found["text"].tolist() == ["v", "w"]


def made(n: int = 60, *, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    label = rng.choice(list("pqr"), n)
    a = np.where(rng.random(n) < 0.6, label, rng.choice(list("pqr"), n))
    b = np.where(rng.random(n) < 0.8, label, rng.choice(list("pqr"), n))
    found = pd.DataFrame({"label": label, "predicted_a": a, "predicted_b": b})
    return found.assign(right_a=a == label, right_b=b == label)


def test_class_f1_is_scikit_learns():
    both = made()
    found = class_differences(both).set_index("label")
    for end in ("a", "b"):
        guess = both[f"predicted_{end}"]
        known = [f1_score(both["label"] == one, guess == one) for one in "pqr"]
        np.testing.assert_allclose(found.loc[list("pqr"), f"f1_{end}"], known)
    low, mid, high = found[["low", "difference", "high"]].to_numpy(float).T
    assert (low <= mid).all() and (mid <= high).all() and (np.diff(mid) <= 0).all()
    assert found["n"].to_numpy().sum() == 60


def f1_of(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """F1 of each row of the two arrays."""
    hits = (true & predicted).sum(axis=1)
    return 2 * hits / (true.sum(axis=1) + predicted.sum(axis=1))


def test_class_intervals_are_those_of_resampled_texts():
    both = made(200, seed=3)
    rows = np.random.default_rng(2).integers(200, size=(300, 200))
    true, a, b = both[["label", "predicted_a", "predicted_b"]].eq("p").to_numpy().T
    drawn = f1_of(true[rows], b[rows]) - f1_of(true[rows], a[rows])
    known = [
        f1_score(true[one], b[one]) - f1_score(true[one], a[one]) for one in rows[:3]
    ]
    np.testing.assert_allclose(drawn[:3], known)
    found = class_differences(both).set_index("label").loc["p"]
    assert tuple(found[["low", "high"]]) == pytest.approx(
        tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.03
    )


def test_the_largest_difference_comes_first_whichever_way_it_goes():
    table = pd.DataFrame(
        {
            "label": list("stuv"),
            "difference": [0.2, 0.0, -0.2, -0.5],
            "low": [0.1, 0.0, -0.4, -0.6],
            "high": [0.3, 0.0, 0.01, -0.4],
        }
    )
    assert largest_first(table)["label"].tolist() == list("vsut")
    assert differing_classes(table)["label"].tolist() == ["s", "v"]


def test_a_class_that_is_only_predicted_is_left_out():
    both = made().assign(predicted_a="s")
    assert set(class_differences(both)["label"]) == {"p", "q", "r"}


def test_where_two_runs_differ():
    a = frame([(t, "p", g) for t, g in zip("stuvw", "pqpqq", strict=True)])
    b = frame([(t, "p", g) for t, g in zip("stuvw", "pprrq", strict=True)])
    both = match_texts(a.assign(probability=[0.1, 0.2, 0.3, 0.4, 0.5]), b)
    assert differing_texts(both)["text"].tolist() == ["v", "u", "t"]
    assert differing_texts(both, "a")["text"].tolist() == ["u"]
    assert differing_texts(both, "b")["text"].tolist() == ["t"]
    assert differing_texts(both, "neither")["text"].tolist() == ["v"]


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((50, 2, 8, 40), ("52.0 %", "58.0 %", "+6.0 points", "0.11", "may well be")),
        ((50, 20, 1, 29), ("70.0 %", "51.0 %", "−19.0 points", "chance is unlikely")),
        ((5, 20, 9, 6), ("0.061", "may well be chance: this test is stricter")),
    ],
)
def test_the_verdict_says_the_numbers(counts, words):
    said = verdict(compare_paired(*cases(*counts)))
    assert all(word in said for word in words)


@pytest.mark.parametrize(
    ("counts", "standing", "words"),
    [
        ((5, 40, 9, 6), "better", "This run is **better than the other**"),
        ((5, 9, 40, 6), "worse", "This run is **worse than the other**"),
        ((50, 9, 9, 6), "level", "This run is **level with the other**"),
    ],
)
def test_the_verdict_begins_with_who_is_better(counts, standing, words):
    result = compare_paired(*cases(*counts))
    assert standing_of(result) == standing
    assert verdict(result).startswith(words)
