"""Predict: a table or pasted lines in, labels and probabilities out."""

import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest
from visit import fine, said, small_csv, visit, written_run

import ui
from stc_core.config import runs_folder
from stc_core.uploads import keep, list_uploads, predicted

PAGE = "pages/6_Predict.py"
REAL = ui.classifier


class ByLength:
    """A classifier that can be checked by hand: long texts are 'long'."""

    classes_ = np.array(["long", "short"])

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        long = np.array([0.9 if len(text) > 20 else 0.2 for text in texts])
        return np.column_stack([long, 1 - long])


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    monkeypatch.setattr(ui, "classifier", lambda run: ByLength())
    return tmp_path


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
    found = pd.read_csv(predicted(upload, "one", "text"))
    assert list(found.columns) == [
        "text",
        "label",
        "predicted_label",
        "p:long",
        "p:short",
    ]
    assert len(found) == 50
    expected = np.where(found["text"].str.len() > 20, "long", "short")
    assert list(found["predicted_label"]) == list(expected)
    shown = app.dataframe[0].value
    assert list(shown["predicted_label"]) == list(expected)


def test_a_refresh_shows_what_was_predicted(run):
    key = keep("new.csv", io.BytesIO(small_csv(50))).key
    press(fine(visit(PAGE, run="one", table=key)), "Predict")
    again = fine(visit(PAGE, run="one", table=key))
    assert "predicted_label" in again.dataframe[0].value
    assert "Predicted labels" in said(again)


def test_another_column_is_another_prediction(run):
    key = keep("new.csv", io.BytesIO(small_csv(50))).key
    app = press(fine(visit(PAGE, run="one", table=key)), "Predict")
    column = next(one for one in app.selectbox if one.label == "Text column")
    assert column.value == "text"
    column.select("label").run()
    assert "predicted_label" not in fine(app).dataframe[0].value
    assert set(press(app, "Predict").dataframe[0].value["predicted_label"]) == {"short"}


def test_rows_without_text_stay_and_get_no_label(run):
    key = keep("new.csv", io.BytesIO(b"text,n\nhello,1\n,2\n")).key
    app = press(fine(visit(PAGE, run="one", table=key)), "Predict")
    labels = app.dataframe[0].value["predicted_label"].tolist()
    assert labels == ["short", ""]


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


def test_a_trained_classifier_labels_a_file(run_folder, home, monkeypatch):
    monkeypatch.setattr(ui, "classifier", REAL)
    runs_folder().mkdir()
    (runs_folder() / "r").symlink_to(run_folder, target_is_directory=True)
    key = keep("new.csv", io.BytesIO(b"text\nwhere is my parcel\nrefund me\n")).key
    app = press(fine(visit(PAGE, run="r", table=key)), "Predict")
    shown = app.dataframe[0].value
    shares = shown[[name for name in shown if name.startswith("p:")]]
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-4)
    best = shares.columns[shares.to_numpy().argmax(axis=1)].str.removeprefix("p:")
    assert list(shown["predicted_label"]) == list(best)
