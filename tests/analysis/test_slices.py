"""Slices: what they say, which rows they take, and that links keep them whole."""

import numpy as np
import pandas as pd
import pytest

from stc_core.analysis.slices import Part, Slice

FRAME = pd.DataFrame(
    {
        "text": ["Where is it", "refund, please!", "late", "a b c d", "Is it here?"],
        "label": ["delivery", "refund", "delivery", "a;b=c%", "delivery"],
        "predicted": ["delivery", "delivery", "refund", "a;b=c%", "delivery"],
        "correct": [True, False, False, True, True],
        "margin": [0.9, 0.05, 0.4, 0.19, 0.2],
        "column:channel": ["mail", "", "mail", "chat", "chat"],
        "star": [False, True, False, False, True],
    }
)


@pytest.mark.parametrize(
    ("text", "rows", "sentence"),
    [
        ("", [0, 1, 2, 3, 4], "all texts"),
        ("label=delivery", [0, 2, 4], "label is delivery"),
        ("predicted=delivery", [0, 1, 4], "predicted is delivery"),
        ("label=delivery;predicted=refund", [2], None),
        ("wrong=1", [1, 2], "wrong"),
        ("uncertain=1", [1, 3], "uncertain"),
        ("star=1", [1, 4], "starred"),
        ("query=IS IT", [0, 4], "with “IS IT”"),
        ("query=.", [], None),
        ("length=2-3", [0, 1, 4], "2 to 3 words"),
        ("length=3-", [0, 3, 4], "3 words or more"),
        ("length=0-0", [], None),
        ("column:channel=mail", [0, 2], "channel is mail"),
        ("column:channel=", [1], "channel is empty"),
        ("column:gone=1", [], "gone is 1"),
        ("label=a%3Bb%3Dc%25", [3], "label is a;b=c%"),
        ("label=delivery;wrong=1", [2], "label is delivery, wrong"),
    ],
)
def test_a_slice_takes_these_rows_and_says_so(text, rows, sentence):
    found = Slice.parse(text)
    assert str(found) == text
    assert np.flatnonzero(found.mask(FRAME)).tolist() == rows
    assert sentence in (None, found.sentence)


@pytest.mark.parametrize(
    "text",
    ["nonsense", "=", ";;", "new=1", "wrong=0", "length=a-b", "length=5", "column:=x"],
)
def test_what_is_not_known_is_left_out(text):
    assert Slice.parse(text) == Slice()
    assert str(Slice.parse(f"{text};wrong=1")) == "wrong=1"
    assert Slice.parse(text).text is None


@pytest.mark.parametrize("value", ["a", "x;y=z", "100%", "%3B", "é ü\n", "a+b&c", "ʼ"])
def test_any_value_and_any_name_come_back(value):
    parts = [("label", value), (f"column:{value}", value), ("query", value)]
    found = Slice.of(parts)
    assert found.parts == tuple(Part(*pair) for pair in parts)
    assert Slice.parse(str(found)) == found


def test_no_text_is_all_texts():
    assert Slice.parse(None).mask(FRAME).all()


def test_a_part_is_set_once_and_removed():
    first = Slice.parse("label=a;wrong=1")
    again = first.moved(label="b", predicted="c")
    assert str(again) == "wrong=1;label=b;predicted=c"
    assert str(again.moved(label=None)) == "wrong=1;predicted=c"
    assert str(again.without(Part("wrong", "1"))) == "label=b;predicted=c"
    assert str(Slice.parse("wrong=1;wrong=1")) == "wrong=1"
    assert again.value("label") == "b"
    assert again.value("query") is None


def test_what_texts_are_is_told_from_how_they_were_predicted():
    found = Slice.parse("label=a;wrong=1;length=0-9;query=x;column:c=;predicted=b")
    assert str(found.of_texts) == "length=0-9;query=x;column:c="
