"""Confusion: counts and scores against scikit-learn, intervals against scipy."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
)

from stc_core.analysis.confusion import (
    Confusion,
    class_scores,
    confused_pairs,
    confusion,
    learned_texts,
    most_confused,
    score_pairs,
)
from stc_core.classifiers.predict_table import count_pairs
from stc_core.config import Repair

CLASSES = ("a", "b", "c", "d")


@pytest.fixture
def drawn() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.choice(list(CLASSES), 200, p=[0.5, 0.3, 0.15, 0.05]).astype(object)
    predicted = np.where(rng.random(200) < 0.7, labels, rng.permutation(labels))
    return labels, predicted


def test_counts_are_scikit_learns(drawn):
    found = confusion(drawn[0], drawn[1], CLASSES)
    assert (found.counts == confusion_matrix(*drawn, labels=CLASSES)).all()


def test_rows_of_other_classes_are_not_counted():
    labels = np.array(["a", "x", "b"], dtype=object)
    found = confusion(labels, np.array(["a", "a", "x"], dtype=object), ("a", "b"))
    assert found.counts.tolist() == [[1, 0], [0, 0]]


def test_scores_are_scikit_learns(drawn):
    frame = class_scores(confusion(drawn[0], drawn[1], CLASSES))
    wanted = precision_recall_fscore_support(*drawn, labels=CLASSES)
    for name, values in zip(("precision", "recall", "f1", "n"), wanted, strict=True):
        assert np.allclose(frame[name], np.asarray(values))


def test_intervals_are_wilsons_and_hold_the_score(drawn):
    found = confusion(drawn[0], drawn[1], CLASSES)
    frame = class_scores(found)
    hits, n = int(found.counts[0, 0]), int(found.counts[0].sum())
    wilson = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert frame["recall_low"].to_numpy()[0] == pytest.approx(wilson.low)
    for name in ("precision", "recall", "f1"):
        bounds = frame[[f"{name}_low", name, f"{name}_high"]].to_numpy()
        assert (np.diff(bounds, axis=1) >= 0).all()


def test_the_interval_of_f1_holds_it_as_often_as_it_says():
    rng = np.random.default_rng(1)
    shares = np.array([0.3, 0.06, 0.09, 0.55])  # hits, missed, wrongly taken, neither
    true = 2 * shares[0] / (2 * shares[0] + shares[1] + shares[2])
    held = 0
    for both in rng.multinomial(120, shares, size=400):
        counts = np.array([[both[0], both[1]], [both[2], both[3]]])
        row = class_scores(Confusion(("a", "b"), counts)).iloc[0]
        held += row["f1_low"] <= true <= row["f1_high"]
    assert 0.92 < held / 400 < 0.98


def test_a_class_without_rows_has_no_score():
    frame = class_scores(confusion(np.array(["a"]), np.array(["a"]), ("a", "b")))
    scores = frame[["precision", "recall", "f1", "recall_low"]].to_numpy(float)
    assert np.isnan(scores[1]).all()
    assert scores[0, :3].tolist() == [1.0, 1.0, 1.0]


def test_pairs_come_by_number_and_hold_every_error(drawn):
    labels, predicted = drawn
    pairs = confused_pairs(confusion(labels, predicted, CLASSES))
    assert pairs["n"].to_numpy().sum() == (labels != predicted).sum()
    assert list(pairs["n"]) == sorted(pairs["n"], reverse=True)
    first = pairs.iloc[0]
    of = labels == first["label"]
    assert first["n"] == (of & (predicted == first["predicted"])).sum()
    assert first["share"] == first["n"] / of.sum()


def test_the_most_confused_classes_in_their_order():
    counts = np.array([[9, 0, 1, 0], [0, 9, 0, 0], [3, 0, 9, 0], [0, 1, 0, 9]])
    found = Confusion(CLASSES, counts)
    assert most_confused(found, 2) == ["a", "c"]
    assert most_confused(found, 9) == list(CLASSES)
    assert found.of(["c", "a"]).counts.tolist() == [[9, 3], [1, 9]]


def random_answers(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.choice(list("abc"), n, p=[0.5, 0.3, 0.2])
    return y, np.where(rng.random(n) < 0.7, y, rng.choice(list("abc"), n))


def test_scores_and_confusions_are_those_of_scikit_learn():
    y, guess = random_answers()
    score = score_pairs(Counter(zip(y, guess, strict=True)), "abc")
    assert score is not None and score.n == 300 and not score.unknown
    assert score.accuracy == pytest.approx(accuracy_score(y, guess))
    assert score.macro_f1 == pytest.approx(f1_score(y, guess, average="macro"))
    assert (score.confusion.counts == confusion_matrix(y, guess)).all()
    assert score.macro_f1_interval is not None
    for middle, (low, high) in (
        (score.accuracy, score.accuracy_interval),
        (score.macro_f1, score.macro_f1_interval),
    ):
        assert 0 < low < middle < high < 1


def test_rows_without_label_or_text_and_unknown_labels_do_not_count():
    pairs = {("a", "a"): 3, ("", "a"): 5, ("b", ""): 7, ("new", "b"): 2, ("b", "a"): 1}
    score = score_pairs(pairs, ["a", "b"])
    assert score is not None and score.n == 4 and score.accuracy == 0.75
    assert score.unknown == {"new": 2}
    assert "75.0 %" in score.sentence and "on 4 rows" in score.sentence
    assert "2 rows have labels that the classifier does not know: 'new'." in (
        score.sentence
    )


def test_labels_are_read_as_the_run_read_its_own():
    repairs = [Repair(do="first", what="|"), Repair(do="merge", what="A", into="a")]
    score = score_pairs({("A|b", "a"): 2, (" A ", "b"): 1}, ["a", "b"], repairs)
    assert score is not None and score.n == 3 and score.accuracy == pytest.approx(2 / 3)
    levels = score_pairs({("b|a", "a"): 2}, ["a"], [Repair(do="levels", what="|")])
    assert levels is not None and levels.accuracy == 1


def test_an_answer_of_a_coarser_level_is_wrong_but_counted():
    score = score_pairs({("a", "top"): 1, ("a", "a"): 1}, ["a", "b"])
    assert score is not None and score.accuracy == 0.5
    assert score.confusion.classes == ("a", "b", "top")


def test_without_a_row_that_counts_there_is_no_score():
    assert score_pairs({("", "a"): 1, ("x", "a"): 2}, ["a"]) is None


def test_learned_texts_do_not_count_and_are_told():
    corpus = pd.DataFrame(
        {"text": [" a ", "b", "c"], "split": ["train", "test", "validation"]}
    )
    learned = learned_texts(corpus)
    assert learned == {"a", "c"}
    pairs = Counter[tuple[str, str]]()
    rows = [("a", "x", "x"), ("b", "x", "y"), ("c ", "", "x"), ("d", "y", "y")]
    assert count_pairs(pairs, rows, learned) == 1
    score = score_pairs(pairs, ["x", "y"], learned=1)
    assert score is not None and score.n == 2 and score.accuracy == 0.5
    assert "1 row does not count, as the run has learned from the text." in (
        score.sentence
    )
