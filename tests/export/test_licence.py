"""What the files of a model say of its licence goes along with its weights."""

from pathlib import Path

import pytest

from helpers.models.saved import saved_base
from stc_core.export.bundle import write_bundle
from stc_core.export.licence import Licence, copy_licence, licence_note, licence_of
from stc_core.runs.run import Run

CARD = "---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n"


def test_the_card_names_the_licence(tmp_path: Path):
    (tmp_path / "README.md").write_text(CARD)
    (tmp_path / "LICENSE").write_text("Do as you like.\n")
    assert licence_of(tmp_path) == Licence("apache-2.0", {"LICENSE": "Do as you like."})


@pytest.mark.parametrize(
    "card", ["# A model\nlicense: mit\n", "---\nlanguage: en\n---\nlicense: mit\n"]
)
def test_only_the_header_of_a_card_counts(card: str, tmp_path: Path):
    (tmp_path / "README.md").write_text(card)
    assert licence_of(tmp_path).name == ""


def test_a_copy_says_the_same(tmp_path: Path):
    root, copy = saved_base(tmp_path / "root", "bert"), tmp_path / "copy"
    copy.mkdir()
    (root / "README.md").write_text(CARD)
    (root / "NOTICE").write_text("By us.")
    copy_licence(root, copy)
    assert {path.name for path in copy.iterdir()} == {"README.md", "NOTICE.txt"}
    assert licence_of(copy) == Licence("apache-2.0", {"NOTICE.txt": "By us."})


def test_the_note_has_the_licence_of_the_embedded_model(run_folder: Path, tmp_path):
    write_bundle(Run(run_folder), tmp_path / "x.zip")
    folder = Run.open(tmp_path / "x.zip").folder
    note = (folder / "LICENCE.md").read_text("utf-8")
    assert "`all-MiniLM-L6-v2`" in note and "names the licence `apache-2.0`" in note
    assert (folder / "README.md").read_text("utf-8").startswith("---\nlicense: apache")
    assert licence_of(folder / "backbone").name == "apache-2.0"


def test_the_note_quotes_licence_files(run_folder: Path):
    note = licence_note(Run(run_folder), Licence("", {"LICENSE": "Do as you like."}))
    assert "name no licence" in note
    assert note.endswith("## LICENSE, of the model\n\nDo as you like.\n")
