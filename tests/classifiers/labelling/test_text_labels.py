"""What is said of texts depends on these texts alone, and a broken one has none."""

import numpy as np
import pandas as pd

from helpers.models.classifiers import classifier
from helpers.models.tiny import TEXTS
from stc_core.classifiers.labelling.text_labels import annotate, beside, label_texts


def test_the_labels_of_texts_are_columns_by_their_names():
    labels = label_texts(classifier(3), [*TEXTS[:2], " "])
    assert list(labels.columns) == [
        "predicted_label",
        "probability",
        "p:a",
        "p:b",
        "p:c",
    ]
    assert (labels.classes, labels.levels, labels.broken) == (("a", "b", "c"), (), {})
    assert labels.columns["p:a"].isna().tolist() == [False, False, True]
    shares = classifier(3).predict_proba(TEXTS[:2])
    np.testing.assert_array_equal(labels.columns.iloc[:2, 2:], shares)


def test_a_broken_text_has_no_label_and_costs_no_other_row():
    texts = [TEXTS[0], "", "half \ud800", TEXTS[1]]
    labels = label_texts(classifier(2), texts)
    assert list(labels.broken) == [2] and "half a character" in labels.broken[2]
    known = label_texts(classifier(2), [TEXTS[0], "", "", TEXTS[1]])
    pd.testing.assert_frame_equal(labels.columns, known.columns)


def test_names_that_the_table_has_are_left_to_it():
    frame = pd.DataFrame({"probability": ["x"], "text": TEXTS[0]}, index=[5])
    labels = label_texts(classifier(2), TEXTS[:1])
    labelled = beside(frame, labels)
    assert list(labelled.columns[2:]) == [
        "predicted_label",
        "probability_2",
        "p:a",
        "p:b",
    ]
    pd.testing.assert_frame_equal(labelled, annotate(classifier(2), frame, text="text"))
