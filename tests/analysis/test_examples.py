"""The table of texts: margins, filters and their order."""

import numpy as np
import pandas as pd
import pytest

from stc_core.analysis.examples import (
    _PLACE,
    COLUMNS,
    example_table,
    place_in_words,
    select_examples,
)

SHARES = np.array(
    [[0.8, 0.15, 0.05], [0.4, 0.35, 0.25], [0.3, 0.6, 0.1], [0.45, 0.1, 0.45]]
)
CLASSES = np.array(["a", "b", "c"])
LABELS = ["a", "b", "b", "c"]


@pytest.fixture
def table() -> pd.DataFrame:
    predicted = CLASSES[SHARES.argmax(1)]
    predictions = pd.DataFrame(
        {
            "row": range(4),
            "split": ["train", "test", "test", "test"],
            "label": LABELS,
            "predicted": predicted,
            "probability": SHARES.max(1),
            "correct": predicted == LABELS,
            **{f"p:{name}": SHARES[:, k] for k, name in enumerate(CLASSES)},
        }
    )
    texts = ["A (first) text", "second", "THIRD text", "straße.*"]
    place = {"file": ["data", "data", "test", "test"], "row": [1, 7, 1, 2]}
    return example_table(predictions, pd.DataFrame({"text": texts, **place}))


def rows(found: pd.DataFrame) -> list[int]:
    return found["example"].tolist()


def test_the_margin_is_the_lead_over_the_second_class(table):
    assert list(table.columns) == [*COLUMNS, "split", "held", "fold", *_PLACE]
    assert table["file"].tolist() == ["data", "data", "test", "test"]
    assert table["row"].tolist() == [1, 7, 1, 2]
    np.testing.assert_allclose(table["margin"], [0.65, 0.05, 0.3, 0.0], atol=1e-12)


def test_no_filter_keeps_the_order_of_the_corpus(table):
    assert rows(select_examples(table)) == [0, 1, 2, 3]
    assert rows(select_examples(table, split="test")) == [1, 2, 3]


def test_wrong_and_uncertain_come_by_doubt(table):
    assert rows(select_examples(table, show="wrong")) == [3, 1]
    assert rows(select_examples(table, show="uncertain")) == [3, 1]
    assert rows(select_examples(table, show="uncertain", label="b")) == [1]


def test_a_class_is_the_true_or_the_predicted_one(table):
    assert rows(select_examples(table, label="a")) == [0, 1, 3]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("TEXT", [0, 2]),
        ("(first)", [0]),
        (".*", [3]),
        ("STRASSE", [3]),
        ("no", []),
        (" ", [0, 1, 2, 3]),
    ],
)
def test_search_takes_text_as_it_is_written(table, query, found):
    assert rows(select_examples(table, query=query)) == found


def test_one_class_leads_by_all():
    predictions = pd.DataFrame(
        {
            "row": [0],
            "split": ["test"],
            "label": ["a"],
            "predicted": ["a"],
            "probability": [1.0],
            "correct": [True],
            "p:a": [1.0],
        }
    )
    found = example_table(
        predictions, pd.DataFrame({"text": ["x"], "file": "data", "row": [1]})
    )
    assert found["margin"].tolist() == [1.0]


def test_a_place_is_told_in_words():
    assert place_in_words(3, "data") == "row 3"
    assert place_in_words(3, "test") == "row 3 of the test file"
