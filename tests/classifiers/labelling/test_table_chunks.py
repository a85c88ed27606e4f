"""A table or a folder of tables, in chunks of which none is of two files."""

from pathlib import Path

import pytest

from stc_core.classifiers.labelling.table_chunks import (
    table_chunks,
    table_files,
    text_column,
)
from stc_core.errors import StcError


def parts(folder: Path) -> Path:
    (folder / "b.csv").write_text("text\nfour\nfive\n")
    (folder / "a.jsonl").write_text('{"text": "one"}\n{"text": null}\n{"text": "3"}\n')
    for name in (".hidden.csv", "_SUCCESS", "notes.md"):
        (folder / name).write_text("text\nx\n")
    return folder


def test_a_folder_is_read_file_by_file(tmp_path):
    chunks = list(table_chunks(parts(tmp_path), trained="text", rows=2))
    texts = [one.texts for one in chunks if one.texts]  # the last one may be empty
    assert texts == [["one", ""], ["3"], ["four", "five"]]
    assert {one.column for one in chunks} == {"text"}


def test_a_file_is_itself(tmp_path):
    assert table_files(tmp_path / "x.csv") == [tmp_path / "x.csv"]


def test_a_folder_without_a_table(tmp_path):
    with pytest.raises(StcError, match=r"expected tables in it: \.csv.*got none"):
        table_files(tmp_path)


def test_files_with_other_columns(tmp_path):
    (parts(tmp_path) / "c.csv").write_text("words\nsix\n")
    with pytest.raises(StcError, match=r"c\.csv.*columns of the first.*got words"):
        list(table_chunks(tmp_path, trained="text"))


def test_the_only_column_is_the_text():
    assert text_column(["words"], given=None, trained="text") == "words"
    assert text_column(["words", "n"], given=None, trained="text") == "text"
    assert text_column(["words"], given="said", trained="text") == "said"
