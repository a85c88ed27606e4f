"""Errors: the matrix, slices, trust, and labels that look wrong."""

import shutil
from html import escape
from pathlib import Path

import pytest

from helpers.app import charts, fine, html, said, visit
from helpers.frames import faithful_part
from stc_core.analysis.inside.kept import head_digest
from stc_core.files import write_json
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run

PAGE = "pages/9_Errors.py"


@pytest.fixture(autouse=True)
def run(tmp_path: Path, run_folder: Path, monkeypatch) -> Run:
    """The one run `r` of a home of its own."""
    (tmp_path / "runs").mkdir()
    folder = tmp_path / "runs" / "r"
    folder.symlink_to(run_folder, target_is_directory=True)
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    return Run.open(folder)


def table(app, column: str):
    return next(one.value for one in app.dataframe if column in one.value)


def test_the_headline_is_that_of_the_run(run):
    app = fine(visit(PAGE, run="r"))
    test = run.metrics["test"]
    whole = f"**{100 * test['accuracy']:.1f} %** of **{test['n']} texts** right"
    assert whole in said(app)
    assert f"ECE **{100 * test['ece']:.1f} %**" in said(app)
    low, high = test["accuracy_interval"]
    assert f"{100 * low:.1f} to {100 * high:.1f} %" in said(app)
    assert len(charts(app)) == 1


def test_a_cell_shows_its_texts_and_leaves_the_matrix_whole(run):
    wrong = run.predictions.query("split == 'test' and not correct").iloc[0]
    cell = f"label={wrong['label']};predicted={wrong['predicted']}"
    app = fine(visit(PAGE, run="r", slice=cell))
    shown = table(app, "margin")
    assert set(shown["label"]) == {wrong["label"]}
    assert set(shown["predicted"]) == {wrong["predicted"]}
    assert app.selectbox(key="slice_label").value == wrong["label"]
    assert "ECE" not in said(app) and "right (95 %" not in said(app)
    assert f"{len(shown)} text" in said(app)
    (matrix,) = charts(app)
    n = sum(int(text) for trace in matrix["data"] for text in trace.get("text", ()))
    assert n == 3 * run.metrics["test"]["n"]  # each text, and its row and column


def test_a_class_and_words_can_be_picked(run):
    app = fine(visit(PAGE, run="r"))
    name = run.metrics["classes"][0]
    app.selectbox(key="slice_label").set_value(name).run()
    app.text_input(key="slice_query").set_value("the").run()
    shown = table(fine(app), "margin")
    assert set(shown["label"]) == {name}
    assert shown["text"].str.casefold().str.contains("the").all()


def test_slices_are_by_class_length_and_the_other_columns():
    scores = table(fine(visit(PAGE, run="r", errors="slices")), "from_rest")
    assert {"class", "length", "channel", "sentiment", "subtopic"} >= set(scores["by"])
    assert {"class", "length", "channel"} <= set(scores["by"])


def test_a_tab_draws_what_is_in_it_alone():
    app = fine(visit(PAGE, run="r", errors="confidence"))
    assert len(charts(app)) == 2
    assert not app.dataframe


def test_a_slice_with_no_text_says_so_and_can_be_left():
    app = fine(visit(PAGE, run="r", slice="column:channel=pigeon"))
    assert "No text of test is in this slice." in said(app)
    app.button(key="chip_column:channel=pigeon").click().run()
    assert "No text of test" not in said(fine(app))


@pytest.mark.parametrize(
    ("split", "note"),
    [("train", "made without it"), ("validation", "too high"), ("test", "neither")],
)
def test_what_the_scores_of_a_split_are_worth_is_said(split: str, note: str):
    assert note in said(fine(visit(PAGE, run="r", split=split)))


def test_the_text_that_was_picked_is_there_in_full(run):
    wrong = run.predictions.query("split == 'test' and not correct")
    row = int(wrong.index[0])
    text = run.corpus["text"].iloc[row]
    assert escape(text) not in html(fine(visit(PAGE, run="r", errors="slices")))
    app = fine(visit(PAGE, run="r", errors="slices", example=str(row)))
    assert escape(text) in html(app)


def test_what_abstaining_brings(run):
    app = fine(visit(PAGE, run="r", errors="confidence", state={"sure": 0.8}))
    test = run.predictions.query("split == 'test'")
    kept = test.query("probability >= 0.8")
    assert f"({len(kept)} of {len(test)})" in said(app)
    assert f"**{100 * kept['correct'].mean():.1f} %** of these right" in said(app)
    app.slider(key="sure").set_value(1.0).run()
    assert "No answer is that confident" in said(fine(app))


@pytest.mark.parametrize(
    ("tab", "fields"),
    [
        ("confusions", {"slice_label", "slice_predicted", "slice_query"}),
        ("slices", set()),
        ("confidence", {"slice_query"}),
        ("labels", set()),
    ],
)
def test_filters_that_do_not_apply_are_not_shown(tab: str, fields: set[str]):
    app = fine(visit(PAGE, run="r", errors=tab))
    keys = {one.key for one in (*app.selectbox, *app.text_input)}
    assert {key for key in keys if str(key).startswith("slice_")} == fields


def test_the_scores_of_one_label_leave_out_those_over_all_classes(run):
    label = run.metrics["classes"][0]
    words = said(fine(visit(PAGE, run="r", slice=f"label={label}")))
    assert "right (95 %" in words and "ECE **" not in words and "macro-F1" not in words


def test_labels_are_judged_when_they_are_asked_for():
    app = fine(visit(PAGE, run="r", errors="labels"))
    assert not any("suggested" in one.value for one in app.dataframe)
    next(b for b in app.button if b.label == "Look for wrong labels").click().run()
    words = said(fine(app))
    assert "cleanlab" in words or "No label looks wrong" in words


def test_a_run_without_neurons_says_why(run, tmp_path):
    bare = tmp_path / "runs" / "bare"
    bare.mkdir()
    for one in run.folder.iterdir():
        if one.name not in ("activations.npy", "neurons.parquet"):
            (bare / one.name).symlink_to(one.resolve())
    app = fine(visit(PAGE, run="bare", errors="labels"))
    assert "keep no neurons" in said(app)


def test_no_run_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("STC_HOME", str(tmp_path / "empty"))
    assert "Train a classifier first" in said(fine(visit(PAGE)))


def test_all_of_these_are_those_of_the_split_that_is_shown(run):
    app = fine(visit(PAGE, run="r", split="all", errors="slices"))
    assert app.segmented_control(key="pick_split").value == "test"
    proto = next(
        one.proto for one in app.get("page_link") if "all of these" in one.proto.label
    )
    assert "split=test" in proto.query_string


def test_scores_of_texts_chosen_by_their_answer_are_no_promise(run):
    label = str(run.predictions["predicted"].iloc[0])
    app = fine(visit(PAGE, run="r", slice=f"predicted={label}"))
    assert "says nothing about new texts" in said(app)
    assert "Expect the same scores" not in said(app)
    app = fine(visit(PAGE, run="r", slice=f"label={label}"))
    assert "Expect the same scores" in said(app)


def test_the_faithfulness_of_explanations_is_offered():
    app = fine(visit(PAGE, run="r", errors="explanations"))
    assert "Do explanations name what the answer rests on?" in said(app)
    assert [button.label for button in app.button if button.label == "Measure"]
    assert not charts(app)


def test_faithfulness_is_not_offered_for_a_run_without_neurons(
    run_folder: Path, tmp_path: Path
):
    own = shutil.copytree(run_folder, tmp_path / "runs" / "own")
    (own / RunFile.ACTIVATIONS).unlink()  # as in a run of the recipe attention
    app = fine(visit(PAGE, run="own", errors="explanations"))
    assert "This run has none" in app.info[0].value
    assert not [button for button in app.button if button.label == "Measure"]


def test_the_faithfulness_of_explanations_is_shown_with_the_worst_texts(
    run, run_folder: Path, tmp_path: Path
):
    own = Run.open(shutil.copytree(run_folder, tmp_path / "runs" / "own"))
    case = {"example": 3, "row": 4, "ours": 0.1, "best": 0.6, "method": "leave_one_out"}
    record = {
        "head": head_digest(own),
        "words": faithful_part(cases=[case]),
        "neurons": faithful_part(best=0.3, ahead=(-0.1, -0.2, -0.05)),
    }
    write_json(own.folder / RunFile.FAITHFULNESS, record)
    app = fine(visit(PAGE, run="own", errors="explanations", example="3"))
    assert "Ours is not the best here" in said(app)
    assert "No other explanation that was compared" in said(app)
    assert len(charts(app)) == 2
    assert table(app, "ours")["text"].tolist() == [own.corpus["text"][3]]
    assert (
        "0.50 (0.45 to 0.55)" in table(app, "sufficiency")["comprehensiveness"].values
    )
    # A record of another head is not shown.
    write_json(own.folder / RunFile.FAITHFULNESS, {**record, "head": "another"})
    assert not charts(fine(visit(PAGE, run="own", errors="explanations")))
