"""Texts read late are the texts; equal ones are found, whatever their hashes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stc_core.config import DataConfig
from stc_core.data import texts as module
from stc_core.data.texts import Texts, distinct_texts, read_text_rows
from stc_core.errors import StcError

WORDS = ["b", "a", "b", "é", "", "a", "c"]


@pytest.fixture(params=["list", "column", "arrow"])
def source(request: pytest.FixtureRequest):
    if request.param == "list":
        return WORDS
    kind = object if request.param == "column" else pd.StringDtype(na_value=np.nan)
    return pd.Series(WORDS, dtype=kind, index=range(5, 12))


@pytest.mark.parametrize("rows", [None, np.array([6, 0, 0, 3])])
def test_it_is_the_list_of_its_texts(source, rows, monkeypatch):
    monkeypatch.setattr(module, "PIECE", 3)
    texts = Texts(source, rows)
    wanted = WORDS if rows is None else [WORDS[row] for row in rows]
    assert len(texts) == len(wanted)
    assert list(texts) == wanted
    assert [texts[i] for i in range(len(texts))] == wanted
    assert texts[-1] == wanted[-1] and type(texts[0]) is str
    for cut in (slice(None), slice(1, 3), slice(None, None, 2), slice(3, 99)):
        assert texts[cut] == wanted[cut] and type(texts[cut]) is list
    some = np.array([2, 0])
    assert list(texts.at(some)) == [wanted[row] for row in some]


def test_distinct_texts_are_numbered_as_they_appear(source):
    for texts in (source if isinstance(source, list) else Texts(source), tuple(WORDS)):
        unique, which = distinct_texts(texts)
        assert list(unique) == ["b", "a", "é", "", "c"]
        assert unique[1:3] == ["a", "é"]
        np.testing.assert_array_equal(which, [0, 1, 0, 2, 3, 1, 4])


def test_texts_that_all_differ_are_kept_as_they_are():
    texts = ["x", "y", "z"]
    unique, which = distinct_texts(texts)
    assert unique is texts
    np.testing.assert_array_equal(which, [0, 1, 2])


def test_texts_of_equal_hash_stay_apart(monkeypatch):
    monkeypatch.setattr(module, "hash", len, raising=False)
    unique, which = distinct_texts(WORDS)
    assert list(unique) == ["b", "a", "é", "", "c"]
    np.testing.assert_array_equal(which, [0, 1, 0, 2, 3, 1, 4])


@pytest.fixture
def unlabelled(tmp_path: Path) -> Path:
    """Four rows, one of them without a text."""
    path = tmp_path / "t.csv"
    path.write_text("id,text,row\na,one text,x\nb,  ,y\nc,two texts,x\nd,three,y\n")
    return path


def test_rows_with_a_text_need_no_label(unlabelled: Path):
    found = read_text_rows(DataConfig(path=str(unlabelled), text="text"))
    assert found.texts == ["one text", "two texts", "three"]
    assert found.n_blank == 1
    expected = {"row": [1, 3, 4], "id": ["a", "c", "d"]}
    assert found.rows.to_dict("list") == expected


def test_a_label_never_takes_the_place_of_the_row_number(unlabelled: Path):
    data = DataConfig(path=str(unlabelled), text="text", labels=("row",), id="")
    found = read_text_rows(data).rows
    assert found.to_dict("list") == {"row": [1, 3, 4], "label:row": ["x", "x", "y"]}


def test_a_column_that_is_not_there_and_one_without_texts(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("text,label\n ,a\n,b\n")
    with pytest.raises(StcError, match="expected a text"):
        read_text_rows(DataConfig(path=str(path), text="text"))
    with pytest.raises(StcError, match="labl"):
        read_text_rows(DataConfig(path=str(path), text="text", labels=("labl",)))
