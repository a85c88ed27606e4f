"""Confusion: counts and scores against scikit-learn, intervals against scipy."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from stc_core.analysis.confusion import (
    Confusion,
    class_scores,
    confused_pairs,
    confusion,
    most_confused,
)

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
