"""The score of a labelled file equals scikit-learn's, on the rows that count."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from stc_core.analysis.file_score import learned_texts, score_pairs
from stc_core.classifiers.predict_table import count_pairs
from stc_core.config import Repair


def drawn(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.choice(list("abc"), n, p=[0.5, 0.3, 0.2])
    return y, np.where(rng.random(n) < 0.7, y, rng.choice(list("abc"), n))


def test_scores_and_confusions_are_those_of_scikit_learn():
    y, guess = drawn()
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
