"""The samples that come with the package."""

from pathlib import Path

import pytest

from stc_core.errors import StcError
from stc_core.installation.samples import copy_sample, sample_names
from stc_core.paths import samples_folder


def test_the_names_are_those_of_the_tables():
    assert sample_names() == ["customer_messages.csv", "replies.csv"]


@pytest.mark.parametrize("name", ["customer_messages.csv", "replies.csv"])
def test_a_copy_is_the_sample(name: str, tmp_path: Path):
    path = copy_sample(name, tmp_path / "copy.csv")
    assert path.read_bytes() == (samples_folder() / name).read_bytes()


def test_a_name_that_is_no_sample_is_refused(tmp_path: Path):
    with pytest.raises(StcError, match=r"sample '\.\./README\.md': expected one of"):
        copy_sample("../README.md", tmp_path / "copy.csv")


@pytest.mark.parametrize(("name", "got"), [("file", "a file"), ("folder", "a folder")])
def test_nothing_is_replaced(name: str, got: str, tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StcError, match=f"expected a new file; got {got}"):
        copy_sample("replies.csv", tmp_path / name)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(StcError, match="cannot write"):
        copy_sample("replies.csv", tmp_path / "none" / "copy.csv")
