"""Uploads are kept once, whole, under names and keys that lead nowhere else."""

import io
from pathlib import Path

import pytest

from stc_core.config import DataConfig
from stc_core.data.uploads import (
    SAMPLE,
    delete_upload,
    find_upload,
    keep_upload,
    list_uploads,
    predictions_path,
    read_choice,
    upload_key,
    write_choice,
)
from stc_core.errors import StcError
from stc_core.paths import uploads_folder


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    return tmp_path


def test_the_same_bytes_are_kept_once(home):
    first = keep_upload("a.csv", io.BytesIO(b"text,label\n"))
    again = keep_upload("b.csv", io.BytesIO(b"text,label\n"))
    other = keep_upload("a.csv", io.BytesIO(b"text;label\n"))
    assert again == first and first.path.name == "a.csv"
    assert first.path.read_bytes() == b"text,label\n" and first.n_bytes == 11
    assert [one.key for one in list_uploads()] == [other.key, first.key]
    assert len(list(uploads_folder().iterdir())) == 2


def test_the_key_of_a_table_is_known_by_its_path(tmp_path):
    kept = keep_upload("a.csv", io.BytesIO(b"text,label\n"))
    assert upload_key(str(kept.path)) == kept.key
    assert upload_key(str(find_upload(SAMPLE).path)) == SAMPLE
    (beside := tmp_path / "b.csv").touch()
    for other in (beside, kept.path.with_name("choice.json"), tmp_path / "c" / "d"):
        assert upload_key(str(other)) is None


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/x.csv", "x.csv"),
        ("C:\\data\\my file.tsv", "my file.tsv"),
        ("a<b>$(rm).csv", "a_b___rm_.csv"),
        (".hidden.csv", "hidden.csv"),
        ("données.jsonl.gz", "données.jsonl.gz"),
    ],
)
def test_a_name_stays_in_its_folder(name, kept):
    upload = keep_upload(name, io.BytesIO(name.encode()))
    assert upload.path.name == kept
    assert upload.path.parent == uploads_folder() / upload.key


@pytest.mark.parametrize("name", ["a.exe", "csv", "choice.json", "", "run.sh"])
def test_another_kind_of_file_is_refused_and_not_kept(name):
    with pytest.raises(StcError, match="a table whose name ends in csv"):
        keep_upload(name, io.BytesIO(b"x"))
    assert list_uploads() == []


def test_a_broken_stream_leaves_nothing():
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("connection lost")

    with pytest.raises(OSError, match="lost"):
        keep_upload("a.csv", Broken())
    assert list(uploads_folder().iterdir()) == []


def test_a_discarded_table_is_gone_with_all_that_was_chosen_for_it():
    other = keep_upload("b.csv", io.BytesIO(b"x,z\n"))
    upload = keep_upload("a.csv", io.BytesIO(b"x,y\n"))
    write_choice(upload.key, DataConfig(path=str(upload.path), text="x"))
    delete_upload(upload)
    assert list_uploads() == [other] and not upload.path.parent.exists()
    again = keep_upload("c.csv", io.BytesIO(b"x,y\n"))
    assert again.path.name == "c.csv" and read_choice(again.key).text is None


def test_the_sample_cannot_be_discarded():
    with pytest.raises(AssertionError):
        delete_upload(find_upload(SAMPLE))
    assert find_upload(SAMPLE).path.exists()


@pytest.mark.parametrize("key", ["../runs", "/etc/passwd", "", "0" * 20, "ABC"])
def test_a_key_is_no_path(key):
    with pytest.raises(StcError, match="Upload the file again"):
        find_upload(key)


def test_a_choice_is_kept_beside_its_table():
    upload = keep_upload("a.csv", io.BytesIO(b"x,y\n"))
    assert read_choice(upload.key) == DataConfig(path=str(upload.path))
    chosen = DataConfig(path=str(upload.path), text="x", labels=("y",), split="")
    write_choice(upload.key, chosen)
    assert read_choice(upload.key) == chosen
    assert find_upload(upload.key) == upload


def test_a_choice_forgets_a_test_file_that_is_gone(home):
    upload = keep_upload("a.csv", io.BytesIO(b"x,y\n"))
    gone = DataConfig(path=str(upload.path), test_path=str(home / "gone.csv"))
    write_choice(upload.key, gone)
    assert read_choice(upload.key).test_path is None


def test_a_damaged_choice_is_guessed_again():
    upload = keep_upload("a.csv", io.BytesIO(b"x,y\n"))
    (upload.path.parent / "choice.json").write_text("{", "utf-8")
    assert read_choice(upload.key) == DataConfig(path=str(upload.path))


def test_the_sample_is_there_and_its_choice_is_kept():
    assert find_upload(SAMPLE).path.name == "customer_messages.csv"
    write_choice(SAMPLE, read_choice(SAMPLE).model_copy(update={"text": "text"}))
    assert read_choice(SAMPLE).text == "text"
    assert list_uploads() == []


def test_predictions_lie_beside_the_table():
    upload = keep_upload("a.csv", io.BytesIO(b"x,y\n"))
    out = predictions_path(upload, "run", "text")
    assert out != predictions_path(upload, "run", "../text")
    assert out.parent.parent == upload.path.parent
    out.parent.mkdir()
    Path(out).write_text("x", "utf-8")
    assert find_upload(upload.key) == upload
