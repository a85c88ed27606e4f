"""Examples: the table, one text explained to the logit, and one's own sentence."""

from pathlib import Path

import pytest
from visit import at_home, fine, html, said, visit

from stc_core.run import Run

PAGE = "pages/5_Examples.py"


@pytest.fixture(autouse=True)
def run(tmp_path: Path, run_folder: Path, monkeypatch) -> Run:
    """The one run `r` of a home of its own."""
    return Run.open(at_home(tmp_path, monkeypatch, r=run_folder) / "r")


def test_the_first_test_text_is_explained(run):
    app = fine(visit(PAGE, run="r"))
    first = run.predictions.query("split == 'test'").iloc[0]
    assert f"#### Text {first['row']}" in said(app)
    assert "sums to logit" in said(app)
    assert "exact split of the **readout**" in said(app)
    assert len(app.get("plotly_chart")) == 2
    assert "background:rgba(" in html(app)


def test_the_table_shows_the_test_texts(run):
    app = fine(visit(PAGE, run="r"))
    shown = app.dataframe[0].value
    assert len(shown) == (run.predictions["split"] == "test").sum()


def test_wrong_ones_only(run):
    app = fine(visit(PAGE, run="r", state={"show": "wrong"}))
    shown = app.dataframe[0].value
    assert not any(shown["correct"])
    assert list(shown["margin"]) == sorted(shown["margin"])
    assert "0.0 % right" in said(app)


def test_filters_that_leave_nothing_say_so():
    app = fine(visit(PAGE, run="r", state={"query": "no such words ~~~"}))
    assert "No text passes these filters." in said(app)
    assert not app.dataframe


def test_a_link_opens_its_text_in_its_split(run):
    row = run.predictions.query("split == 'train'").iloc[2]
    app = fine(visit(PAGE, run="r", example=str(row["row"])))
    assert f"#### Text {row['row']}" in said(app)
    assert app.selectbox(key="pick_split").value == "train"


def test_the_split_of_the_link_wins():
    app = fine(visit(PAGE, run="r", split="validation", example="0"))
    assert app.selectbox(key="pick_split").value == "validation"


def test_a_slice_narrows_the_table_until_its_chip_is_taken_away(run):
    app = fine(visit(PAGE, run="r", slice="length=0-14;column:channel=chat"))
    words = app.dataframe[0].value["text"].str.split().str.len()
    assert words.max() < 15
    few = len(words)
    assert "0 to 14 words" in app.button[0].label
    app.button(key="chip_length=0-14").click().run()
    assert len(fine(app).dataframe[0].value) > few
    assert "slice" in app.query_params


def test_a_slice_with_no_text_says_so():
    app = fine(visit(PAGE, run="r", slice="label=not%3Ba label"))
    assert "No text passes these filters." in said(app)
    assert any("not;a label" in one.label for one in app.button)


def test_an_example_that_is_not_there_is_no_error():
    assert "Text 999999" not in said(fine(visit(PAGE, run="r", example="999999")))


def test_any_class_can_be_explained(run):
    name = run.metrics["classes"][-1]
    app = fine(visit(PAGE, state=None, **{"run": "r", "class": name}))
    assert f"for {name}" in html(app)
    assert "sums to logit" in said(app)


@pytest.mark.parametrize("by", ["layer", "neuron"])
def test_one_s_own_sentence_is_explained_and_escaped(by):
    text = "my <script>alert(1)</script> parcel is late"
    app = visit(
        PAGE, run="r", state={"way": "My own sentence", "own_text": text, "by": by}
    )
    assert "sums to logit" in said(fine(app))
    assert "<script>" not in html(app)
    assert "parcel" in html(app)


def test_no_sentence_yet_is_no_error():
    app = fine(visit(PAGE, run="r", state={"way": "My own sentence"}))
    assert not app.get("plotly_chart")
