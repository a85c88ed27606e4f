"""Guessing and checking columns, and cells as strings."""

import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest

from stc_core.config import DataConfig
from stc_core.data.columns import (
    Columns,
    free_columns,
    guess_columns,
    label_columns,
    nested_fields,
    resolve_columns,
)
from stc_core.errors import StcError
from stc_core.frames import as_text

N = 60
WORDS = [f"a sentence of some length, number {n}" for n in range(N)]


def frame(**columns: object) -> pd.DataFrame:
    return pd.DataFrame(columns).astype(str)


def few(k: int, stem: str = "c") -> list[str]:
    return [f"{stem}{n % k}" for n in range(N)]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"text": WORDS, "label": few(2)}, ("text", ("label",), None, None)),
        (
            {"text": WORDS, "label": few(3), "label_1": few(2), "label_2": few(3)},
            ("text", ("label",), None, None),
        ),
        (
            {"label_2": few(6), "label_1": few(2), "label_10": few(9), "text": WORDS},
            ("text", ("label_1", "label_2", "label_10"), None, None),
        ),
        (
            {"uid": range(N), "fold": few(2, ""), "Review": WORDS, "Stars": few(5)},
            ("Review", ("Stars",), None, "uid"),
        ),
        (
            {"x": few(3), "y2": WORDS, "part": ["train", "Dev", "TEST"] * 20},
            ("y2", ("x",), "part", None),
        ),
        (
            {"column 1": range(N), "tweet": WORDS, "airline_sentiment": few(3)},
            ("tweet", ("airline_sentiment",), None, "column 1"),
        ),
        (
            {"topic": few(4), "sentiment": few(3), "message": WORDS},
            ("message", ("topic",), None, None),
        ),
        (
            {"subject": few(3), "notes": WORDS, "score": np.linspace(0, 1, N)},
            ("notes", ("subject",), None, None),
        ),
        ({"text": WORDS}, ("text", (), None, None)),
        ({"id": WORDS}, ("id", (), None, None)),
    ],
)
def test_guess(columns, expected):
    assert guess_columns(frame(**columns)) == Columns(*expected)


def test_guess_sees_all_of_a_file_sorted_by_label():
    n = 40_000
    table = frame(a=[f"sentence {i}" for i in range(n)], b=np.arange(n) * 4 // n)
    assert guess_columns(table).labels == ("b",)


def test_named_columns_are_kept_and_the_rest_guessed():
    table = frame(one=WORDS, text=WORDS, label=few(2), other=few(3), key=range(N))
    data = DataConfig(path="", text="one", labels=("other",))
    assert resolve_columns(table, data) == Columns("one", ("other",), None, "key")
    data = DataConfig(path="", labels=("other", "label"), id="text")
    assert resolve_columns(table, data) == Columns(
        "one", ("other", "label"), None, "text"
    )


def test_an_empty_name_says_that_there_is_no_such_column():
    table = frame(id=range(N), text=WORDS, label=few(3), fold=["train", "test"] * 30)
    assert resolve_columns(table, DataConfig(path="")) == Columns(
        "text", ("label",), "fold", "id"
    )
    data = DataConfig(path="", split="", id="")
    assert resolve_columns(table, data) == Columns("text", ("label",), None, None)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ({"text": "Txt"}, "text column 'Txt'.*'body', 'label'"),
        ({"labels": ("labl",)}, "Did you mean 'label'"),
        ({"split": "LABEL"}, "Did you mean 'label'"),
        ({"text": "label", "labels": ("label",)}, "text and label"),
    ],
)
def test_wrong_names(data, match):
    with pytest.raises(StcError, match=match):
        resolve_columns(frame(body=WORDS, label=few(2)), DataConfig(path="", **data))


def test_no_label():
    with pytest.raises(StcError, match="one column 'text'"):
        resolve_columns(frame(text=WORDS), DataConfig(path=""))
    with pytest.raises(StcError, match="no label column"):
        resolve_columns(frame(text=WORDS, more=WORDS), DataConfig(path=""))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["001", "NA", None], ["001", "NA", None]),
        ([1.0, 2.0, np.nan], ["1", "2", None]),
        ([0.5, 1.0], ["0.5", "1"]),
        ([True, False], ["true", "false"]),
        ([3, 2**62], ["3", str(2**62)]),
        (pd.array([1, None], dtype="Int64"), ["1", None]),
        (pd.array([True, None], dtype="bool[pyarrow]"), ["true", None]),
        (pd.Categorical(["a", None]), ["a", None]),
        ([dt.date(2024, 5, 1), None], ["2024-05-01", None]),
        (pd.to_datetime(["2024-05-01", None]), ["2024-05-01", None]),
        ([b"caf\xc3\xa9"], ["café"]),
        ([1, "a", 2.0, pd.NA], ["1", "a", "2", None]),
    ],
)
def test_as_text(values, expected):
    text = as_text(pd.Series(values, index=range(5, 5 + len(values)), name="x"))
    want = pd.Series(expected, index=text.index, name="x", dtype=text.dtype)
    pd.testing.assert_series_equal(text, want)
    assert text.dtype == pd.StringDtype(na_value=np.nan)


def test_free_columns_have_no_role():
    names = ["id", "text", "coarse", "fine", "reply", "split"]
    data = DataConfig(path="", text="text", labels=("coarse", "fine"), id="id")
    assert free_columns(names, data) == ["reply", "split"]
    assert free_columns(names, data.model_copy(update={"split": "split"})) == ["reply"]


def test_the_label_is_looked_for_behind_the_text_first():
    rows = range(60)
    frame = pd.DataFrame(
        {
            "flag": [row % 2 for row in rows],
            "question": [f"what is the use of number {row}" for row in rows],
            "sort": [f"kind {row % 6}" for row in rows],
            "priority": [f"p{row % 3}" for row in rows],
        }
    )
    found = guess_columns(frame)
    assert (found.text, found.labels) == ("question", ("sort",))
    assert label_columns(frame, found) == ["flag", "priority"]


RECORDS = [{"body": f"a text of its own, number {n}", "lang": "en"} for n in range(N)]


@pytest.mark.parametrize("written", [list, lambda rows: list(map(json.dumps, rows))])
def test_records_in_a_column_are_guessed_to_be_no_text_and_no_label(written):
    two = written([{"id": n % 2, "note": "x" * 200} for n in range(N)])
    table = pd.DataFrame({"meta": two, "words": WORDS, "kind": few(3)})
    assert guess_columns(table)[:2] == ("words", ("kind",))
    assert guess_columns(table.drop(columns="kind")).labels == ()
    alone = pd.DataFrame({"message": written(RECORDS), "kind": few(3)})
    assert guess_columns(alone).text == "message"  # there is no other


@pytest.mark.parametrize("written", [list, lambda rows: list(map(json.dumps, rows))])
def test_a_field_inside_of_records_is_no_column_and_it_is_said_how_to_take_it(written):
    table = pd.DataFrame({"message": written(RECORDS), "kind": few(3)})
    data = DataConfig(path="t", text="message.body", labels=("kind",))
    with pytest.raises(StcError, match="a field inside 'message'") as caught:
        resolve_columns(table, data)
    assert "frame['body'] = frame['message'].str.get('body')" in str(caught.value)
    taken = pd.DataFrame({"message": RECORDS})["message"].str.get("body")
    assert taken.tolist() == [row["body"] for row in RECORDS]  # as it says
    with pytest.raises(
        StcError, match="one of the columns 'message', 'kind'"
    ) as caught:
        resolve_columns(table, data.changed(text="message.none"))
    assert "inside" not in str(caught.value)


@pytest.mark.parametrize(
    ("cells", "fields"),
    [
        (['{"a": 1, "b": 2}', "", '{"c": 3}'], ["a", "b", "c"]),
        (['{"a": 1}', "{curly} words"], []),
        (["{name} is here"], []),
        (['["a"]', '{"a": 1}'], []),
        (["{" * 100_000], []),
        ([], []),
    ],
)
def test_a_column_is_nested_if_all_cells_are_objects(cells, fields):
    assert nested_fields(cells) == fields
