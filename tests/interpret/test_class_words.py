"""Words of a class: counted by hand on explanations that are known."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stc_core.analysis.examples import example_table
from stc_core.errors import StcError
from stc_core.interpret.class_words import WORD_COLUMNS, class_words, strongest_words
from stc_core.interpret.explanation import Token
from stc_core.runs.run import Run

WORTH = {"parcel": 2.0, "late": 1.0, "van": 0.5, "hello": 0.25, "refund": -1.0}


def explained(text: str) -> dict[str, Any]:
    """Each word adds what WORTH says to the class 'delivery'."""
    tokens, start = [], 0
    for word in text.split(" "):
        bare = word.strip(".,").lower()
        tokens.append(
            {
                "start": start,
                "end": start + len(word),
                "text": word,
                "contribution": {"delivery": WORTH.get(bare, 0.0), "other": 0.0},
            }
        )
        start += len(word) + 1
    return {"tokens": tokens}


def table_of(rows: list[tuple[str, str, str, str]]) -> pd.DataFrame:
    """Examples with these texts, splits, labels and predictions."""
    frame = pd.DataFrame(rows, columns=["text", "split", "label", "predicted"])
    return frame.assign(example=range(len(frame)))


ROWS = [
    ("The parcel is late.", "test", "delivery", "delivery"),
    ("Parcel, parcel, refund", "test", "delivery", "delivery"),
    ("hello van late parcel", "test", "delivery", "delivery"),
    ("late refund", "test", "other", "delivery"),
    ("parcel", "train", "delivery", "delivery"),
    ("parcel", "test", "other", "other"),
]


def test_words_are_counted_once_a_text_and_by_right_and_wrong():
    found = class_words(table_of(ROWS), "delivery", explained)
    assert (found.n_right, found.n_wrong, found.n_all) == (3, 1, 4)
    assert list(found.raising.columns) == WORD_COLUMNS
    lines = found.raising.set_index("word")
    assert lines["texts"].to_dict() == {"parcel": 3, "late": 2, "van": 1}
    assert lines.loc["parcel", "mean"] == pytest.approx((2 + 4 + 2) / 3)
    assert lines.loc["parcel", "share"] == 1 and lines.loc["parcel", "example"] == 1
    assert lines.loc["parcel", "text"] == "Parcel, parcel, refund"
    assert found.misleading["word"].tolist() == ["late"]
    table = found.joined()
    assert table["effect"].tolist() == ["raises"] * 3 + ["misleads"]


def test_of_many_texts_some_are_read_and_the_number_is_kept():
    found = class_words(table_of(ROWS[:1] * 50), "delivery", explained, most=10)
    assert found.n_right == 10 and found.n_all == 50
    assert found.raising["texts"].tolist() == [10, 10]


def test_a_class_without_a_predicted_text_has_no_words():
    rows = [*ROWS, ("x", "test", "rare", "other")]
    found = class_words(table_of(rows), "rare", explained)
    assert not len(found.raising) and not len(found.misleading) and not found.n_all


def test_an_unknown_class_is_refused():
    with pytest.raises(StcError, match=r"class 'x'.*'delivery'"):
        class_words(table_of(ROWS), "x", explained)


def test_a_script_without_spaces_has_its_tokens_as_words():
    text = "快递丢了"
    tokens = [Token(i, i + 1, sign, float(i)) for i, sign in enumerate(text)]
    assert [one.text for one in strongest_words(text, tokens)] == list("了丢递")


def test_the_words_of_a_trained_run_are_in_its_texts(run_folder: Path):
    run = Run.open(run_folder)
    examples = example_table(run.predictions, run.corpus)
    label = str(run.predictions["predicted"].mode()[0])
    found = class_words(examples, label, run.classifier().explain, most=4)
    for part in (found.raising, found.misleading):
        for word, text in zip(part["word"], part["text"], strict=True):
            assert word in text.casefold()
    assert np.isfinite(found.raising["mean"]).all()
