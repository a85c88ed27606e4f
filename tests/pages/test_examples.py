"""Examples: the table, one text explained to the logit, and one's own sentence."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from helpers.app import at_home, charts, fine, html, said, visit
from stc_core.analysis.examples import FINAL, example_table
from stc_core.display import percent
from stc_core.runs.annotations import read_about
from stc_core.runs.run import Run
from ui.shell.messages import escape

PAGE = "pages/5_Examples.py"


@pytest.fixture(autouse=True)
def run(tmp_path: Path, run_folder: Path, monkeypatch) -> Run:
    """The one run `r` of a home of its own."""
    return Run.open(at_home(tmp_path, monkeypatch, r=run_folder) / "r")


def title(app) -> str:
    return app.subheader[0].value


def name(run, example: int) -> str:
    """What a text is called: its row in the table."""
    return f"Row {run.corpus['row'][example]}"


def click(app, label: str):
    """The app after a click on the button of this label."""
    return fine(next(one for one in app.button if one.label == label).click().run())


def test_the_first_test_text_is_explained(run):
    app = fine(visit(PAGE, run="r"))
    first = run.predictions.query("split == 'test'").iloc[0]
    assert title(app) == name(run, first["row"])
    assert "sums to logit" in said(app)
    assert "exact split of the **readout**" in said(app)
    assert len(charts(app)) == 2
    assert "background:rgba(" in html(app)


def test_the_table_shows_the_test_texts(run):
    app = fine(visit(PAGE, run="r"))
    shown = app.dataframe[0].value
    assert len(shown) == (run.predictions["split"] == "test").sum()


def test_wrong_ones_only(run):
    app = fine(visit(PAGE, run="r", texts="wrong"))
    shown = app.dataframe[0].value
    assert set(shown["correct"]) == {"✗"}
    assert list(shown["margin"]) == sorted(shown["margin"])
    assert "0.0 % right" in said(app)


def test_filters_that_leave_nothing_say_so_and_are_cleared(run):
    app = fine(visit(PAGE, run="r", search="no such words ~~~"))
    assert "No text passes these filters." in said(app)
    assert not app.dataframe
    clear = next(one for one in app.button if one.label == "Clear the filters")
    clear.click().run()
    assert len(fine(app).dataframe[0].value) == len(run.corpus)


def test_next_and_previous_follow_the_table_and_say_where_one_is(run):
    app = fine(visit(PAGE, run="r", texts="uncertain"))
    order = app.dataframe[0].value["example"].tolist()
    assert title(app) == name(run, order[0])
    assert f"1 of {len(order)}" in said(app)
    assert app.button(key="step_example_Previous").disabled
    assert title(click(app, "Next")) == name(run, order[1])
    assert app.query_params["example"] in (str(order[1]), [str(order[1])])
    assert app.session_state["example_table"]["selection"]["rows"] == [1]
    assert title(click(app, "Previous")) == name(run, order[0])


def test_from_a_text_that_the_filters_hide_next_leads_to_the_first(run):
    train = run.predictions.query("split == 'train'").iloc[0]
    here = {"example": str(train["row"]), "split": "test"}
    app = fine(visit(PAGE, state=None, run="r", **here))
    shown = app.dataframe[0].value["example"].tolist()
    assert f"not among {len(shown)} shown" in said(app)
    assert title(click(app, "Next")) == name(run, shown[0])


def test_a_link_opens_its_text_in_its_split(run):
    row = run.predictions.query("split == 'train'").iloc[2]
    app = fine(visit(PAGE, run="r", example=str(row["row"])))
    assert title(app) == name(run, row["row"])
    assert app.selectbox(key="pick_split").value == "train"


def says(label: str, probability: float) -> str:
    return f"says **{escape(label)}** ({percent(float(probability))})"


def probabilities(model, text: str) -> dict[str, float]:
    shares = model.predict_proba([text])[0]
    return dict(zip(model.head_.classes, shares, strict=True))


def test_a_learned_text_is_explained_by_the_head_that_predicted_it(run):
    """Otherwise its explanation would be that of another answer."""
    table = run.predictions
    wrong = table[(table["split"] == "train") & ~table["correct"]].iloc[0]
    app = fine(visit(PAGE, run="r", example=str(wrong["row"])))
    assert "made **without** this text" in said(app)
    assert says(wrong["predicted"], wrong["probability"]) in said(app)
    choice = app.segmented_control(key=f"head_{wrong['row']}")
    app = fine(choice.set_value(FINAL).run())
    final = probabilities(run.classifier(), run.corpus["text"][wrong["row"]])
    label = max(final, key=lambda name: final[name])
    assert label != wrong["predicted"]
    assert f"learned from it and {says(label, final[label])}" in said(app)


def test_a_test_text_has_one_head_and_the_page_says_which(run):
    row = run.predictions.query("split == 'test'")["row"].iloc[0]
    app = fine(visit(PAGE, run="r", example=str(row)))
    assert "By the final classifier, which has not seen this text." in said(app)
    assert not [one for one in app.segmented_control if one.key == f"head_{row}"]


def test_a_run_without_heads_of_folds_says_whose_answer_is_above(run, monkeypatch):
    """As runs of older versions."""
    table = example_table(run.predictions.drop(columns="fold"), run.corpus)
    monkeypatch.setattr("ui.examples.browse.examples", lambda _: table)
    app = fine(visit(PAGE, run="r", split="train"))
    assert "The final one, explained below, has learned from it and says" in said(app)


def test_what_is_asked_of_a_learned_text_is_asked_of_its_own_head(run):
    """Its edit, and the pinned text beside it."""
    row, pinned = (
        int(run.predictions.query(f"split == '{split}'")["row"].iloc[0])
        for split in ("train", "test")
    )
    fold = int(run.predictions["fold"][row])
    judge = run.classifier().with_head(run.fold_heads[fold])
    app = fine(visit(PAGE, run="r", example=str(row), pinned=str(pinned)))
    assert "Both texts are read by the classifier made without" in said(app)
    table = app.dataframe[1].value.set_index("class")["pinned"].to_dict()
    text = run.corpus["text"][pinned]
    own, final = (probabilities(one, text) for one in (judge, run.classifier()))
    assert table == pytest.approx({name: own[name] for name in table}, abs=1e-4)
    assert table != pytest.approx({name: final[name] for name in table}, abs=1e-3)
    box = next(one for one in app.text_area if one.label == "Change it and compare")
    box.set_value("my parcel never arrived")
    table = click(app, "Compare").dataframe[-2].value
    after = table.set_index("class")["after"].to_dict()
    own = probabilities(judge, "my parcel never arrived")
    assert after == pytest.approx({name: own[name] for name in after}, abs=1e-4)


def test_the_split_of_the_link_wins():
    app = fine(visit(PAGE, run="r", split="validation", example="0"))
    assert app.selectbox(key="pick_split").value == "validation"


def test_all_splits_can_be_searched_at_once(run):
    corpus = run.corpus
    word = corpus["text"].iloc[0].split()[0]
    app = fine(visit(PAGE, run="r", split="all", search=word))
    found = app.dataframe[0].value.set_index("example")
    lower = corpus["text"].str.casefold()
    rows = np.flatnonzero(lower.str.contains(word.casefold(), regex=False))
    assert sorted(found.index) == rows.tolist() and len(set(found["split"])) > 1
    assert found["row"].loc[rows].tolist() == corpus["row"].iloc[rows].tolist()


def test_a_text_says_its_row_in_the_table(run):
    app = fine(visit(PAGE, run="r", example="5"))
    assert title(app) == name(run, 5)
    shown = app.dataframe[0].value
    assert list(shown["row"]) == list(run.corpus["row"].iloc[shown["example"]])
    assert "file" not in shown


def test_with_a_test_file_a_text_says_its_file_even_where_all_are_of_one(
    run, monkeypatch
):
    monkeypatch.setattr("ui.cache.texts._Texts.several", True)
    shown = fine(visit(PAGE, run="r", split="test")).dataframe[0].value
    assert set(shown["file"]) == {"data"}


def test_how_many_of_the_texts_were_learned_from_is_said(run):
    seen = int((run.corpus["split"] != "test").sum())
    told = f"({seen:,} of these judged by classifiers made without them)"
    assert told in said(fine(visit(PAGE, run="r", split="all")))
    assert "(these judged by" in said(fine(visit(PAGE, run="r", split="train")))
    assert "made without" not in said(fine(visit(PAGE, run="r", split="test")))


def test_training_texts_of_a_large_run_were_learned_from(run, monkeypatch):
    """As those of older runs, which do not say which rows were held out."""
    table = run.predictions.drop(columns=["held", "fold"])
    table = example_table(table, run.corpus)
    monkeypatch.setattr("ui.examples.browse.examples", lambda _: table)
    app = fine(visit(PAGE, run="r", split="train"))
    assert "(the classifier was fitted on these)" in said(app)
    assert "which has learned this text" in said(app)


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
    words = said(fine(visit(PAGE, run="r", example="999999")))
    assert "Row 1000000" not in words and "This run has no text 999999" in words


def test_any_class_can_be_explained(run):
    name = run.metrics["classes"][-1]
    app = fine(visit(PAGE, state=None, **{"run": "r", "class": name}))
    assert f"for {name}" in html(app)
    assert "sums to logit" in said(app)


@pytest.mark.parametrize("by", ["layer", "neuron"])
def test_one_s_own_sentence_is_explained_and_escaped(by):
    text = "my <script>alert(1)</script> parcel is late"
    app = fine(visit(PAGE, run="r", text=text, state={"by": by}))
    assert "sums to logit" in said(app)
    assert "<script>" not in html(app)
    assert "parcel" in html(app)
    assert app.text_area(key="own_text").value == text


def test_a_sentence_is_typed_and_the_context_holds_it_until_a_text_is_chosen():
    app = fine(visit(PAGE, run="r", example="3"))
    app = fine(app.segmented_control(key="way").set_value("My own text").run())
    assert not charts(app) and app.query_params["example"] == "3"
    assert app.query_params["text"] == ""
    app.text_area(key="own_text").set_value(" My parcel is late ")
    app = fine(click(app, "Explain"))
    assert app.query_params["text"] == "My parcel is late"
    assert "“My parcel is late”" in [link.proto.label for link in app.get("page_link")]
    app = fine(app.segmented_control(key="way").set_value("Texts of this run").run())
    assert "text" not in app.query_params and "Row 4" in said(app)
    app = fine(app.segmented_control(key="way").set_value("My own text").run())
    assert app.text_area(key="own_text").value == "My parcel is late"


def test_a_text_that_is_too_long_for_a_link_says_so():
    app = fine(visit(PAGE, run="r", text="late " * 500))
    assert "This text is too long for a link" in said(app)
    assert app.query_params["text"] == ""
    assert "sums to logit" in said(app)


def test_each_of_the_likeliest_classes_has_its_words(run):
    app = fine(visit(PAGE, run="r", state={"each_class": True, "gamma": 0.5}))
    classes = run.metrics["classes"]
    assert f"{len(classes) - 5} less likely classes are not shown." in said(app)
    assert sum(f'title="{name}"' in html(app) for name in classes) == 5


def test_an_edit_is_shown_beside_its_text_until_it_is_removed(run):
    app = fine(visit(PAGE, run="r"))
    box = next(one for one in app.text_area if one.label == "Change it and compare")
    box.set_value(f"{box.value} <b>refund</b>")
    app = click(app, "Compare")
    assert "<ins" in html(app) and "<b>" not in html(app)
    before, after = (app.dataframe[at].value for at in (1, 2))
    assert list(before.columns) == ["class", "before", "after", "change"]
    assert list(after.columns) == ["name", "change"] and len(after) == 5
    box = next(one for one in app.text_area if one.label == "Change it and compare")
    box.set_value("something else entirely")
    app = click(app, "Compare")
    assert sum(one.label == "Remove" for one in app.button) == 2
    app = click(click(app, "Remove"), "Remove")
    assert "Each edit stays here" in said(app)


def test_the_edit_s_numbers_are_those_of_the_classifier(run):
    app = fine(visit(PAGE, run="r"))
    box = next(one for one in app.text_area if one.label == "Change it and compare")
    box.set_value("my parcel never arrived")
    table = click(app, "Compare").dataframe[1].value
    model = run.classifier()
    shares = dict(
        zip(
            model.head_.classes,
            model.predict_proba(["my parcel never arrived"])[0],
            strict=True,
        )
    )
    after = dict(zip(table["class"], table["after"], strict=True))
    assert after == pytest.approx({name: shares[name] for name in after}, abs=1e-4)


def test_nothing_changed_is_said():
    assert "Change some words first." in said(
        click(fine(visit(PAGE, run="r")), "Compare")
    )


FLIP = "Fewest changes that flip it"


def test_flips_are_searched_on_demand_and_kept_as_an_edit(run):
    table = run.predictions.query("split == 'test'")
    row = int(table.sort_values("probability")["row"].iloc[0])
    app = fine(visit(PAGE, run="r", example=str(row), state={"what_if": FLIP}))
    assert "Leaves out words" in said(app)
    app = click(app, "Search")
    assert "texts and confirmed each flip" in said(app)
    assert "<del" in html(app)
    app = click(app, "Keep the first as an edit")
    assert "new label" in said(app)


def test_no_flip_is_said(run, monkeypatch):
    monkeypatch.setattr("ui.cache.neuron_values.MOST_FORWARDS", 1)
    app = fine(visit(PAGE, run="r", state={"what_if": FLIP}))
    assert "No flip within 0 changed words and 1 texts read." in said(
        click(app, "Search")
    )


def test_the_nearest_training_texts_are_listed(run):
    app = fine(visit(PAGE, run="r", state={"what_if": "Nearest training texts"}))
    n = int((run.corpus["split"] == "train").sum())
    assert f"{n:,} training texts were searched" in said(app)
    assert html(app).count("explain</a>") == 8


def test_neurons_of_one_text_are_changed(run):
    one = run.predictions.query("split == 'test' and correct")["row"].iloc[0]
    state = {"what_if": "Change neurons"}
    app = fine(visit(PAGE, run="r", example=str(one), state=state))
    label = run.predictions.set_index("row").loc[one, "predicted"]
    (change,) = (box for box in app.selectbox if box.key == "example_neurons")
    assert change.options[0] == f"The neuron that speaks most for {label} here"
    assert change.options[-1] == "All neurons that the classifier reads"
    app = fine(change.set_value(change.options[-1]).run())
    app = click(app, "Measure")
    assert f"The logit of {label} goes from " in said(app)
    assert "of 20 changes of as many random neurons" in said(app)
    shown = app.dataframe[-1].value
    assert np.abs(shown["before"].to_numpy() - shown["after"].to_numpy()).max() > 0.01


def test_a_pinned_text_stands_beside(run):
    one, other = run.predictions.query("split == 'test'")["row"].iloc[[1, 2]]
    app = fine(visit(PAGE, run="r", example=str(one)))
    app = click(app, "Pin to compare")
    assert app.query_params["pinned"] in (str(one), [str(one)])
    assert "Now pick another text" in said(app)
    app = fine(visit(PAGE, run="r", example=str(other), pinned=str(one)))
    assert f"**Pinned: {name(run, one).lower()}**" in said(app)
    assert list(app.dataframe[1].value.columns)[:3] == ["class", "pinned", "this"]
    app = click(app, f"Unpin {name(run, one).lower()}")
    assert "Pinned:" not in said(app)


def test_what_cannot_be_is_said(monkeypatch):
    monkeypatch.setattr("ui.examples.what_if.has_readout", lambda run: False)
    app = visit(PAGE, run="r", state={"what_if": "Nearest training texts"})
    assert "does not decide by single neurons" in said(fine(app))


def test_a_starred_text_is_kept_and_found_again(tmp_path, run_folder, monkeypatch):
    (tmp_path / "home").mkdir()
    own = tmp_path / "own"
    shutil.copytree(run_folder, own)
    run = Run.open(at_home(tmp_path / "home", monkeypatch, r=own) / "r")
    app = fine(visit(PAGE, run="r", example="5"))
    assert "starred" not in {one.key for one in app.button}
    app = click(app, "Star")
    assert read_about(run.folder).stars == (5,)
    app = click(app, "Only the 1 starred")
    assert app.query_params["slice"] == "star=1"
    assert set(app.dataframe[0].value["example"]) == {5}
    click(app, "Starred")
    assert read_about(run.folder).stars == ()


def test_words_are_coloured_by_leaving_them_out(run):
    state = {"words_by": "Leave one out"}
    app = fine(visit(PAGE, run="r", state=state, text="my parcel never came"))
    assert "What the logit loses if the model reads the text without this word" in said(
        app
    )
    assert "background:rgba(" in html(app)
    # Nothing would be left of a text of one word.
    app = fine(visit(PAGE, run="r", state=state, text="parcel"))
    assert "Without it nothing is left" in said(app)
