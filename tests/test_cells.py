"""Cells as text; those that a spreadsheet would run are written so that it does not."""

import io

import numpy as np
import pandas as pd
import pytest

from stc_core.cells import escape_formulas, formula_note
from stc_core.data.table import read_table
from stc_core.frames import write_csv

FORMULAS = ["=1+1", "+A1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "-", "+1 555 1"]
PLAIN = ["-5", "+3.5", "-1e-3", "-5 %", "-1,234.5", "a=1", " =1", "", "'=1"]


@pytest.mark.parametrize("cell", FORMULAS)
def test_a_formula_gets_an_apostrophe(cell: str):
    escaped, count = escape_formulas(pd.DataFrame({"text": [cell, "plain"]}))
    assert escaped["text"].tolist() == [f"'{cell}", "plain"] and count == 1


@pytest.mark.parametrize("cell", PLAIN)
def test_any_other_cell_stays(cell: str):
    frame = pd.DataFrame({"text": [cell]})
    escaped, count = escape_formulas(frame)
    assert escaped is frame and count == 0


def test_names_categories_and_missing_cells_are_escaped_too():
    frame = pd.DataFrame(
        {
            "=head": pd.Categorical(["=a", "b", None]),
            "object": np.array([None, "@x", 7], dtype=object),
            "number": [-1.5, np.nan, 2],
        }
    )
    escaped, count = escape_formulas(frame)
    assert list(escaped.columns) == ["'=head", "object", "number"] and count == 3
    assert escaped["'=head"].tolist()[:2] == ["'=a", "b"]
    assert escaped["object"].tolist() == [None, "'@x", 7]
    assert frame.columns[0] == "=head"
    assert frame["object"].tolist()[1] == "@x"


def test_formulas_are_kept_if_asked_for():
    text = io.StringIO(newline="")
    assert write_csv(pd.DataFrame({"t": ["=1"]}), text, keep_formulas=True) == 0
    assert text.getvalue() == "t\n=1\n"


@pytest.mark.parametrize("cell", ["a\rb", "a\nb", "a\r\nb", 'a"b', "a,b", "\r"])
def test_a_written_cell_is_read_as_it_was(cell: str, tmp_path):
    with (tmp_path / "t.csv").open("w", encoding="utf-8", newline="") as handle:
        write_csv(
            pd.DataFrame({"t": [cell, "x"], "u": "v"}), handle, keep_formulas=True
        )
    assert read_table(tmp_path / "t.csv")["t"].tolist() == [cell, "x"]


def test_the_note_counts():
    assert formula_note(1).startswith("1 cell begins like a formula")
    assert formula_note(1200).startswith("1,200 cells begin")
