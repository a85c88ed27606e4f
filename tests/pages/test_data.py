"""Data: upload or sample, columns guessed and changeable, problems named by row."""

import gzip
import json

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from helpers.app import PLAN, fine, said, small_csv, visit
from stc_core.data.reading.charsets import text_codec
from stc_core.data.uploads import (
    list_uploads,
    read_choice,
    write_choice,
)
from stc_core.paths import uploads_folder
from ui.cache import plans

PAGE = "pages/1_Data.py"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    return tmp_path


def uploaded(name: str, content: bytes) -> AppTest:
    app = fine(visit(PAGE))
    app.file_uploader[0].upload(name, content).run()
    return fine(app)


def column(app: AppTest, label: str):
    boxes = [*app.selectbox, *app.multiselect]
    return next(one for one in boxes if one.label.startswith(label))


def labels_of(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def test_empty_page_says_how_to_begin():
    app = fine(visit(PAGE))
    assert "Upload a table" in said(app)
    assert "Continue to Train" not in labels_of(app)


def test_an_upload_is_kept_and_its_columns_are_guessed():
    app = uploaded("mine.csv", small_csv())
    assert [one.path.name for one in list_uploads()] == ["mine.csv"]
    assert app.query_params["data"] == list_uploads()[0].key
    assert column(app, "Text").value == "text"
    assert column(app, "Label").value == ["label"]
    assert column(app, "Split").value == ""
    assert "Rows used: 60" in said(app) and "Classes: 3" in said(app)
    assert "Continue to Train" in labels_of(app)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv.gz", gzip.compress(small_csv(), mtime=0)),
        ("a.tsv", small_csv().replace(b",", b"\t")),
        (
            "a.jsonl",
            "\n".join(
                json.dumps({"text": f"text {i}", "label": "ab"[i % 2]})
                for i in range(40)
            ).encode(),
        ),
    ],
)
def test_other_formats(name, content):
    assert "Continue to Train" in labels_of(uploaded(name, content))


def test_parquet(tmp_path):
    frame = pd.DataFrame({"text": [f"text {i}" for i in range(40)]})
    frame.assign(label=list("ab") * 20).to_parquet(tmp_path / "a.parquet")
    app = uploaded("a.parquet", (tmp_path / "a.parquet").read_bytes())
    assert "Continue to Train" in labels_of(app)


def test_a_refresh_loses_nothing():
    app = uploaded("mine.csv", small_csv())
    column(app, "Label").set_value(["text"]).run()
    column(app, "Text").select("label").run()
    again = fine(visit(PAGE, data=app.query_params["data"]))
    assert column(again, "Text").value == "label"
    assert column(again, "Label").value == ["text"]


def test_the_sample_is_one_click_away():
    app = fine(visit(PAGE))
    next(b for b in app.button if b.label == "Use the sample").click().run()
    fine(app)
    assert app.query_params["data"] == "sample"
    assert column(app, "Text").value == "text"
    assert "Continue to Train" in labels_of(app)


def test_levels_go_from_coarse_to_fine():
    app = fine(visit(PAGE, data="sample"))
    column(app, "Label").set_value(["topic", "subtopic"]).run()
    fine(app)
    assert read_choice("sample").labels == ("topic", "subtopic")


def test_findings_name_their_rows():
    app = uploaded("mine.csv", small_csv(extra=",a\nlost,\n*odd* <b>row</b>,a\n"))
    words = said(app)
    assert "warning" in words and "61" in words and "62" in words
    assert "2 findings" in words or "3 findings" in words


def test_the_share_of_texts_that_would_be_cut_is_said():
    long = b",".join([b" ".join([b"word"] * 400), b"a"]) + b"\n"
    app = uploaded("mine.csv", small_csv(57, extra=(long * 3).decode()))
    assert "3 of 60 texts (5.0 %) are longer than 256 tokens" in plain(said(app))


def plain(words: str) -> str:
    return words.replace("\\", "")


def test_an_error_in_the_content_is_shown_and_bars_the_way():
    app = uploaded(
        "one.csv", b"text,label\n" + b"".join(b"t%d,a\n" % i for i in range(9))
    )
    assert "error" in said(app)
    assert "Continue to Train" not in labels_of(app)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("binary.csv", bytes(range(256)) * 40),
        ("empty.csv", b""),
        ("header.csv", b"text,label\n"),
        ("one_column.csv", b"text\nhello\nthere\n"),
        ("book.xlsx", b"PK\x03\x04 and what a workbook holds"),
    ],
)
def test_bad_files_get_a_message(name, content):
    app = uploaded(name, content)
    assert app.error and "Continue to Train" not in labels_of(app)
    readable = ["one_column.csv"] if name == "one_column.csv" else []
    assert [one.path.name for one in list_uploads()] == readable


def test_a_workbook_is_to_be_saved_as_csv():
    told = uploaded("book.xlsx", b"PK\x03\x04 and more").error[0].value
    assert "book" in told and "Save it as CSV" in told


def test_without_a_label_it_asks_for_one_and_keeps_the_last_choice():
    app = uploaded("mine.csv", small_csv())
    key, before = app.query_params["data"], labels_of(app)
    fine(app.multiselect[0].set_value([]).run())
    assert "Choose the column that holds the labels." in said(app)
    assert "Continue to Train" in before and "Continue to Train" not in labels_of(app)
    assert read_choice(key).labels == ("label",)
    fine(app.multiselect[0].set_value(["label"]).run())
    assert "Continue to Train" in labels_of(app)


def test_a_test_file_is_used_and_can_go():
    app = uploaded("mine.csv", small_csv())
    app.file_uploader[1].upload("held out.csv", small_csv(21).replace(b"number", b"n"))
    fine(app.run())
    key = app.query_params["data"]
    assert (read_choice(key).test_path or "").endswith("held out.csv")
    assert "/ 21" in said(app)
    next(b for b in app.button if b.label.startswith("Remove")).click().run()
    assert read_choice(key).test_path is None


def test_a_key_in_the_url_is_no_path():
    app = fine(visit(PAGE, data="../../etc"))
    assert "Upload the file again" in app.error[0].value


def test_continue_leads_to_train(monkeypatch):
    monkeypatch.setattr(plans, "expected_plan", lambda config: PLAN)
    app = uploaded("mine.csv", small_csv())
    assert uploads_folder().exists()
    next(b for b in app.button if b.label == "Continue to Train").click().run()
    assert "Train" in app.title[0].value
    assert app.query_params["data"] == list_uploads()[0].key


def polish(codec: str) -> bytes:
    rows = ["Kupiłem łóżko, jest świetne", "Żałuję, bardzo zły produkt"] * 20
    lines = [
        f'"{text} {n}",{"źle" if n % 2 else "dobrze"}' for n, text in enumerate(rows)
    ]
    return "\n".join(["treść,ocena", *lines]).encode(codec)


def test_the_encoding_is_guessed_and_can_be_chosen():
    app = uploaded("opinie.csv", polish("cp1250"))
    assert column(app, "Encoding").value == "cp1250 (automatic)"
    assert column(app, "Text").value == "treść"
    assert "It was read as cp1250, a guess" in said(app)
    column(app, "Encoding").set_value("cp1252").run()
    fine(app)
    assert column(app, "Text").value == "treœæ"
    key = app.query_params["data"]
    assert read_choice(key).encoding == "cp1252"
    column(app, "Encoding").set_value("cp1250 (automatic)").run()
    assert read_choice(key).encoding is None and column(app, "Text").value == "treść"


def test_an_encoding_is_one_that_exists_and_is_found_by_what_people_call_it():
    app = uploaded("opinie.csv", polish("cp1250"))
    box = column(app, "Encoding")
    assert not box.proto.accept_new_options
    names = [option.partition(" (")[0] for option in box.options]
    assert len(set(names[1:])) == len(names[1:]) > 90
    assert all(text_codec(name) == name for name in names[1:])
    assert next(one for one in box.options if "mac" in one.lower()) == (
        "mac-roman (Macintosh)"
    )
    assert "iso8859-1 (latin-1)" in box.options
    assert "cp1250 (automatic)" in box.options


def test_an_encoding_that_a_command_named_otherwise_is_shown():
    """A run on the table may have been trained with --encoding latin-1."""
    app = uploaded("opinie.csv", polish("cp1250"))
    key = app.query_params["data"]
    write_choice(key, read_choice(key).changed(encoding="latin-1"))
    assert column(fine(visit(PAGE, data=key)), "Encoding").value == "iso8859-1"
    assert read_choice(key).encoding == "latin-1"


def test_an_encoding_that_cannot_be_is_said_and_not_kept():
    app = uploaded("opinie.csv", polish("cp1250"))
    column(app, "Encoding").set_value("utf-32").run()
    assert app.error and not app.exception
    assert read_choice(app.query_params["data"]).encoding is None
    assert "Continue to Train" in labels_of(app)
    assert "The likeliest encodings" in [one.label for one in app.expander]
    assert any(one.label == "Earlier uploads" for one in app.selectbox)


def test_the_likeliest_encodings_stay_after_a_wrong_choice():
    app = uploaded("opinie.csv", polish("cp1250"))
    for name in (None, "cp437"):
        if name:
            column(app, "Encoding").set_value(name).run()
            fine(app)
            assert read_choice(app.query_params["data"]).encoding == name
        (likely,) = [e for e in app.expander if e.label == "The likeliest encodings"]
        assert "cp1250" in likely.dataframe[0].value["Encoding"].tolist()


@pytest.mark.parametrize("places", [1, 3000])
def test_a_table_that_cannot_be_read_is_said_and_forgotten(places: int):
    rows = b"".join(
        b"some text %d,%s\n" % (n, b"ab"[n % 2 :][:1]) for n in range(places)
    )
    content = b"text,label\n" + rows + b'"never closed,a\n' + rows[:2000]
    app = uploaded("mine.csv", content)
    assert "every quote" in said(app) and list_uploads() == []
    assert "data" not in app.query_params or not app.query_params["data"]
    again = fine(visit(PAGE, data="0" * 20))
    assert "Upload the file again" in said(again)
    app = fine(app.run())
    assert "Upload a table" in said(app)


def press(app: AppTest, label: str) -> AppTest:
    next(b for b in app.button if b.label.startswith(label)).click().run()
    return fine(app)


def test_a_finding_is_mended_by_a_click_and_comes_back_by_undo():
    app = uploaded("mine.csv", small_csv(extra="x one,A\nx two,A\nx one,A\n"))
    key = app.query_params["data"]
    before = said(app)
    assert "differ only in case" in before and "are repeated" in before
    press(app, "Read 'A' as 'a'")
    press(app, "Leave out repeats")
    assert [str(one) for one in read_choice(key).repairs] == [
        "merge:A=a",
        "leave-out:repeats",
    ]
    words = said(app)
    assert "Rows used: 62" in words and "Classes: 3" in words
    assert "Read 'A' as 'a' · 3 rows" in plain(words) and "· 1 row" in words
    assert "differ only in case" not in words and "are repeated" not in words
    press(app, "Undo")
    assert [str(one) for one in read_choice(key).repairs] == ["leave-out:repeats"]
    assert "differ only in case" in said(app)


def test_a_repair_of_another_label_column_can_be_undone():
    app = uploaded("mine.csv", small_csv(extra="x one,A\nx two,A\n"))
    press(app, "Read 'A' as 'a'")
    column(app, "Text").select("label").run()
    fine(column(app, "Label").set_value(["text"]).run())
    assert "does not fit" in said(app)
    press(app, "Undo")
    assert "does not fit" not in said(app)


def test_the_label_stands_beside_the_text():
    app = uploaded("mine.csv", b"topic,x,text\n" + b"a,1,hello there\nb,2,bye\n" * 9)
    shown = app.dataframe[-1].value
    assert list(shown.columns) == ["text", "topic", "x"]
