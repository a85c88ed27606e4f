"""Names and tags given later stand beside the settings, which stay as they were."""

from pathlib import Path

import pytest
from visit import written_run

from stc_core.about import FILE, About, read_about, rename, star, tag
from stc_core.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return written_run(tmp_path / "r", "first")


def test_a_run_that_nobody_named_has_the_name_of_its_settings(run: Run):
    assert read_about(run.folder) == About() and run.name == "first"


def test_a_name_given_later_wins_and_settings_stay(run: Run):
    before = (run.folder / "config.json").read_bytes()
    rename(run.folder, "  a better\n name ")
    assert run.name == "a better name" == run.summary()["name"]
    assert (run.folder / "config.json").read_bytes() == before
    rename(run.folder, " ")
    assert run.name == "first"


def test_tags_are_each_once_and_leave_the_name(run: Run):
    rename(run.folder, "new")
    tag(run.folder, ["paper", " to  keep", "", "paper", "x" * 99])
    assert read_about(run.folder) == About("new", ("paper", "to keep", "x" * 40))
    tag(run.folder, [])
    assert read_about(run.folder) == About("new")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": 3, "tags": "ab"}'])
def test_a_damaged_file_costs_no_run(run: Run, text: str):
    (run.folder / FILE).write_text(text)
    assert read_about(run.folder).tags == ()
    assert run.name in ("first", "3") and run.done


def test_a_star_is_put_on_a_text_once_and_taken_off(run: Run):
    tag(run.folder, ["kept"])
    for example in (7, 3, 7):
        star(run.folder, example, on=True)
    assert read_about(run.folder) == About("", ("kept",), (3, 7))
    star(run.folder, 7, on=False)
    star(run.folder, 9, on=False)
    assert read_about(run.folder).stars == (3,)
    (run.folder / FILE).write_text('{"stars": ["x", 2]}')
    assert read_about(run.folder).stars == (2,)
