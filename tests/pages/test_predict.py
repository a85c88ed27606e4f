"""Predict: a table or pasted lines in, labels and probabilities out."""

import io
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from helpers.app import fine, html, said, small_csv, visit, written_run
from stc_core.data.uploads import keep_upload, list_uploads, predictions_path
from stc_core.errors import StcError
from stc_core.files import write_json
from stc_core.paths import runs_folder
from stc_core.runs.processes import label_jobs
from stc_core.runs.processes.label_jobs import LabelOrder
from stc_core.runs.run import Run
from stc_core.runs.status import Status, new_status
from ui.cache.tables import _HEAD_ROWS
from ui.predict import view
from ui.predict.results import SECOND, SECOND_SHARE, picked_place, with_second_choice

PAGE = "pages/6_Predict.py"
REAL = Run.classifier


class ByLength:
    """A classifier that can be checked by hand: long texts are 'long'."""

    classes_ = np.array(["long", "short"])

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        long = np.array([0.9 if len(text) > 20 else 0.2 for text in texts])
        return np.column_stack([long, 1 - long])


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    monkeypatch.setattr(view, "classifier", lambda run: ByLength())
    monkeypatch.setattr(Run, "classifier", lambda run: ByLength())
    monkeypatch.setattr(label_jobs, "spawn", in_place)
    return tmp_path


def in_place(command: str, folder: Path) -> None:
    """What the worker process does, done at once; its error is in its status."""
    assert command == "label"
    with suppress(StcError):
        label_jobs.do_labelling(folder)


@pytest.fixture
def run():
    return written_run(runs_folder() / "one", "one")


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click().run()
    return fine(app)


def test_without_a_run_the_page_leads_to_data():
    assert "No run yet" in said(fine(visit(PAGE)))


def test_a_file_is_uploaded_and_labelled(run):
    app = fine(visit(PAGE, run="one"))
    app.file_uploader[0].upload("new.csv", small_csv(50)).run()
    fine(app)
    (upload,) = list_uploads()
    assert app.query_params["table"] == upload.key
    press(app, "Predict")
    found = pd.read_csv(predictions_path(upload, "one", "text"))
    assert list(found.columns) == [
        "text",
        "label",
        "predicted_label",
        "probability",
        "p:long",
        "p:short",
    ]
    assert len(found) == 50
    expected = np.where(found["text"].str.len() > 20, "long", "short")
    assert list(found["predicted_label"]) == list(expected)
    shown = app.dataframe[0].value
    assert list(shown["predicted_label"]) == list(expected)


def test_a_refresh_shows_what_was_predicted(run):
    key = keep_upload("new.csv", io.BytesIO(small_csv(50))).key
    press(fine(visit(PAGE, run="one", table=key)), "Predict")
    again = fine(visit(PAGE, run="one", table=key))
    assert "predicted_label" in again.dataframe[0].value
    assert "Predicted labels" in said(again)


def test_another_column_is_another_prediction(run):
    key = keep_upload("new.csv", io.BytesIO(small_csv(50))).key
    app = press(fine(visit(PAGE, run="one", table=key)), "Predict")
    column = next(one for one in app.selectbox if one.label == "Text column")
    assert column.value == "text"
    column.select("label").run()
    assert "predicted_label" not in fine(app).dataframe[0].value
    assert set(press(app, "Predict").dataframe[0].value["predicted_label"]) == {"short"}


def test_rows_without_text_stay_and_get_no_label(run):
    key = keep_upload("new.csv", io.BytesIO(b"text,n\nhello,1\n,2\n")).key
    app = press(fine(visit(PAGE, run="one", table=key)), "Predict")
    assert "1 row has no text, so there is no label." in said(app)
    labels = app.dataframe[0].value["predicted_label"].tolist()
    assert labels == ["short", ""]


@pytest.fixture
def ordered(run) -> tuple[str, Path]:
    """The key of a table, and where its order is kept."""
    upload = keep_upload("new.csv", io.BytesIO(small_csv(50)))
    out = predictions_path(upload, "one", "text")
    order = LabelOrder(str(run.folder), str(upload.path), "text", str(out))
    return upload.key, label_jobs._write_order(order)


def tell(folder: Path, **changes) -> None:
    status: dict = {**new_status("running"), **changes}
    write_json(folder / "status.json", Status(**status))


def test_the_page_follows_the_work_of_another_process(ordered):
    key, folder = ordered
    assert "Starting" in progress(fine(visit(PAGE, run="one", table=key)))
    tell(folder, done=20, total=50, rate=10.0, eta_s=3.0)
    app = fine(visit(PAGE, run="one", table=key))
    assert "20 of 50 rows · 10 per second · 3.0 s left" in progress(app)
    assert "You can close this tab" in said(app)
    assert "Predict" not in [button.label for button in app.button]


def progress(app: AppTest) -> str:
    bars = app.get("progress")
    return bars[0].proto.text  # pyright: ignore[reportAttributeAccessIssue]


def test_labelling_can_be_cancelled_and_begun_again(ordered):
    key, folder = ordered
    tell(folder, message="Labelling")
    app = press(fine(visit(PAGE, run="one", table=key)), "Cancel")
    assert "cancelled" in app.warning[0].value
    assert "predicted_label" in press(app, "Predict").dataframe[0].value


def test_labelling_that_failed_says_why(run, monkeypatch):
    def refused(run: Run):
        raise StcError("backbone *x*", expected="other weights")

    monkeypatch.setattr(Run, "classifier", refused)
    key = keep_upload("new.csv", io.BytesIO(small_csv(50))).key
    app = press(fine(visit(PAGE, run="one", table=key)), "Predict")
    assert "backbone \\*x\\*" in app.error[0].value
    assert "predicted_label" not in app.dataframe[0].value
    assert "Predict" in [button.label for button in app.button]


def test_pasted_lines_are_labelled(run):
    app = fine(visit(PAGE, run="one"))
    app.button_group[0].set_value("Pasted lines").run()
    app.text_area[0].input("short one\n\n<b>a much longer line</b> of words\n")
    press(app, "Predict")
    shown = app.dataframe[0].value
    assert list(shown["predicted_label"]) == ["short", "long"]
    assert shown["text"].tolist()[1] == "<b>a much longer line</b> of words"


def test_nothing_pasted_is_no_error(run):
    app = fine(visit(PAGE, run="one"))
    app.button_group[0].set_value("Pasted lines").run()
    assert not press(app, "Predict").dataframe


def test_a_binary_file_gets_a_message(run):
    app = fine(visit(PAGE, run="one"))
    app.file_uploader[0].upload("new.csv", bytes(range(256)) * 40).run()
    assert fine(app).error
    assert any(one.label == "Earlier uploads" for one in app.selectbox)


def test_a_trained_classifier_labels_a_file(run_folder, home, monkeypatch):
    monkeypatch.setattr(Run, "classifier", REAL)
    runs_folder().mkdir()
    (runs_folder() / "r").symlink_to(run_folder, target_is_directory=True)
    key = keep_upload(
        "new.csv", io.BytesIO(b"text\nwhere is my parcel\nrefund me\n")
    ).key
    app = press(fine(visit(PAGE, run="r", table=key)), "Predict")
    shown = app.dataframe[0].value
    shares = shown[[name for name in shown if name.startswith("p:")]]
    assert np.allclose(shares.sum(axis=1), 1, atol=0.001)
    best = shares.columns[shares.to_numpy().argmax(axis=1)].str.removeprefix("p:")
    assert list(shown["predicted_label"]) == list(best)


def test_a_click_on_a_row_says_why(run_folder, home, monkeypatch):
    monkeypatch.setattr(Run, "classifier", REAL)
    monkeypatch.setattr(view, "classifier", lambda run: run.classifier())
    runs_folder().mkdir()
    (runs_folder() / "r").symlink_to(run_folder, target_is_directory=True)
    app = fine(visit(PAGE, run="r"))
    app.button_group[0].set_value("Pasted lines").run()
    app.text_area[0].input("where is my parcel\nrefund me\n")
    assert "Click a row to see why." in said(press(app, "Predict"))
    app.session_state["predicted_rows"] = {"selection": {"rows": [1], "columns": []}}
    fine(app.run())
    shown = app.dataframe[0].value.iloc[1]
    assert f"**{shown['predicted_label']}** {shown['probability']:.4f}" in (
        said(app).replace("\\", "")
    )
    assert "refund" in html(app) and "parcel" not in html(app)


def test_the_words_of_a_class_and_their_csv(run_folder, home, monkeypatch):
    monkeypatch.setattr(Run, "classifier", REAL)
    runs_folder().mkdir()
    (runs_folder() / "r").symlink_to(run_folder, target_is_directory=True)
    app = fine(visit(PAGE, run="r"))
    app.button_group[0].set_value("Words of a class").run()
    fine(app)
    assert "Words that raise it" in said(app) and "Words that mislead" in said(app)
    words = app.dataframe[0].value
    assert list(words.columns[:4]) == ["word", "texts", "share", "mean"]
    counts = words["texts"].tolist()
    assert counts == sorted(counts, reverse=True)
    assert min(words["mean"].tolist()) > 0


def test_the_second_choice_is_the_likeliest_other_class():
    predicted = pd.DataFrame(
        {
            "text": ["x", "y", ""],
            "predicted_label": ["b", "a", ""],
            "probability": ["0.6", "0.5", ""],
            "p:a": ["0.3", "0.5", ""],
            "p:b": ["0.6", "0.2", ""],
            "p:c": ["0.1", "0.3", ""],
        }
    )
    table = with_second_choice(predicted)
    assert table[SECOND].tolist() == ["a", "c", ""]
    assert table[SECOND_SHARE].tolist()[:2] == [0.3, 0.3]
    assert np.isnan(table[SECOND_SHARE].iloc[2])
    one_class = predicted.drop(columns=["p:a", "p:c"]).head(1)
    assert with_second_choice(one_class)[SECOND].tolist() == [""]


@pytest.mark.parametrize(
    ("event", "place"),
    [
        ({"selection": {"rows": [2]}}, 2),
        ({"selection": {"rows": [3]}}, None),
        ({"selection": {"rows": []}}, None),
        (None, None),
    ],
)
def test_a_click_on_a_row_that_is_gone_is_no_click(event, place):
    assert picked_place(event, 3) == place


class ByLetters(ByLength):
    """Surer of a text the further its length is from 20."""

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        long = np.array([min(len(text) / 40, 1) for text in texts])
        return np.column_stack([long, 1 - long])


def test_the_least_sure_rows_come_first_on_request(run, monkeypatch):
    monkeypatch.setattr(Run, "classifier", lambda run: ByLetters())
    texts = "".join(f"{'x' * n}\n" for n in (1, 39, 21, 5, 30) * 40)
    key = keep_upload("new.csv", io.BytesIO(f"text\n{texts}".encode())).key
    app = press(fine(visit(PAGE, run="one", table=key)), "Predict")
    assert app.dataframe[0].value.index.tolist() == list(range(1, 101))
    assert "The first 100 of 200 rows." in said(app)
    fine(app.toggle(key="by_doubt").set_value(True).run())
    least = app.dataframe[0].value
    assert least.index.tolist()[:3] == [3, 8, 13] and len(least) == 100
    assert least["probability"].is_monotonic_increasing
    assert "The least sure 100 of 200 rows." in said(app)


def test_a_file_with_labels_gets_its_score(run):
    rows = "hello,short\nhi,long\na text of many more words,long\nhey,odd\n"
    key = keep_upload("new.csv", io.BytesIO(f"text,right\n{rows}".encode())).key
    app = press(fine(visit(PAGE, run="one", table=key)), "Predict")
    assert "Accuracy" not in said(app)
    box = next(b for b in app.selectbox if b.label == "Label column")
    fine(box.select("right").run())
    words = said(app)
    assert "Accuracy: 66.7 %" in words and "Rows: 3" in words
    assert "1 more row does not count" in words and "odd" in words
    confused = next(one.value for one in app.dataframe if "share" in one.value)
    assert confused[["label", "predicted", "n"]].values.tolist() == [
        ["long", "short", 1]
    ]


def test_a_guessed_encoding_can_be_chosen(run):
    rows = "".join(f"Kupiłem łóżko {n}, jest świetne\n" for n in range(40))
    app = fine(visit(PAGE, run="one"))
    app.file_uploader[0].upload("nowe.tsv", f"text\n{rows}".encode("cp1250")).run()
    fine(app)
    (upload,) = list_uploads()
    box = next(one for one in app.selectbox if one.label == "Encoding")
    assert box.value == "cp1250 (automatic)"
    box.set_value("iso8859-2").run()
    press(fine(app), "Predict")
    found = pd.read_csv(predictions_path(upload, "one", "text", "iso8859-2"))
    assert found["text"].iloc[0] == "Kupiłem łóżko 0, jest \x9cwietne"
    assert not predictions_path(upload, "one", "text").exists()


def test_how_a_table_was_read_is_said_as_on_the_command_line(run):
    content = "text,n\n" + "T\u00fcr,1\n" + "where is it,2\n" * 40
    app = fine(visit(PAGE, run="one"))
    app.file_uploader[0].upload("new.csv", content.encode("cp1252")).run()
    assert "encoding is not clear" in fine(app).warning[0].value
    assert "The likeliest encodings" in [one.label for one in app.expander]
    press(app, "Predict")
    assert "encoding is not clear" in fine(app).warning[0].value
    box = next(one for one in app.selectbox if one.label == "Encoding")
    box.set_value("cp1252").run()
    assert not fine(app).warning
    assert "The likeliest encodings" in [one.label for one in app.expander]


def test_what_only_later_rows_show_is_said_once_all_are_read(run):
    rows = "text,n\n" + "where is it,2\n" * (_HEAD_ROWS + 9) + "short\n"
    app = fine(visit(PAGE, run="one"))
    app.file_uploader[0].upload("new.csv", rows.encode()).run()
    assert not fine(app).warning
    press(app, "Predict")
    assert f"row {_HEAD_ROWS + 10} had fewer fields" in said(fine(app)).replace(
        "\\", ""
    )
