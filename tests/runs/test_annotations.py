"""Names and tags given later stand beside the settings, which stay as they were."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from helpers.app import written_run
from stc_core.errors import StcError
from stc_core.files import write_json
from stc_core.runs.annotations import (
    _FILE,
    _About,
    about_lock,
    read_about,
    rename,
    star,
    tag,
)
from stc_core.runs.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return written_run(tmp_path / "r", "first")


def test_a_run_that_nobody_named_has_the_name_of_its_settings(run: Run):
    assert read_about(run.folder) == _About() and run.name == "first"


def test_a_name_given_later_wins_and_settings_stay(run: Run):
    before = (run.folder / "config.json").read_bytes()
    rename(run.folder, "  a better\n name ")
    assert run.name == "a better name" == run.summary().name
    assert (run.folder / "config.json").read_bytes() == before
    rename(run.folder, " ")
    assert run.name == "first"


def test_tags_are_each_once_and_leave_the_name(run: Run):
    rename(run.folder, "new")
    tag(run.folder, ["paper", " to  keep", "", "paper", "x" * 99])
    assert read_about(run.folder) == _About("new", ("paper", "to keep", "x" * 40))
    tag(run.folder, [], instead=read_about(run.folder).tags)
    assert read_about(run.folder) == _About("new")


@pytest.mark.parametrize("order", [1, -1])
def test_two_who_tag_at_once_keep_each_others_tags(run: Run, order: int):
    tag(run.folder, ["old", "both"])
    shown = read_about(run.folder).tags  # in two browsers
    for tags in [(*shown, "mine"), ("both", "yours")][::order]:
        tag(run.folder, tags, instead=shown)
    assert read_about(run.folder).tags == ("both", *("mine", "yours")[::order])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": 3, "tags": "ab"}'])
def test_a_damaged_file_costs_no_run(run: Run, text: str):
    (run.folder / _FILE).write_text(text)
    assert read_about(run.folder).tags == ()
    assert run.name in ("first", "3") and run.done


def test_a_star_is_put_on_a_text_once_and_taken_off(run: Run):
    tag(run.folder, ["kept"])
    for example in (7, 3, 7):
        star(run.folder, example, on=True)
    assert read_about(run.folder) == _About("", ("kept",), (3, 7))
    star(run.folder, 7, on=False)
    star(run.folder, 9, on=False)
    assert read_about(run.folder).stars == (3,)
    (run.folder / _FILE).write_text('{"stars": ["x", 2]}')
    assert read_about(run.folder).stars == (2,)


def test_stars_given_at_once_are_all_kept(run: Run):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: star(run.folder, i, on=True), range(40)))
    assert read_about(run.folder).stars == tuple(range(40))


def test_a_star_waits_for_who_writes_and_keeps_what_was_written(run: Run):
    with ThreadPoolExecutor(1) as pool, about_lock(run.folder):
        annotations = read_about(run.folder)
        later = pool.submit(star, run.folder, 5, on=True)
        time.sleep(0.2)
        write_json(run.folder / _FILE, annotations._replace(stars=(3,))._asdict())
    later.result()
    assert read_about(run.folder).stars == (3, 5)


def test_one_that_goes_while_the_lock_is_waited_for_does_not_come_back(run: Run):
    with ThreadPoolExecutor(1) as pool:
        with about_lock(run.folder):
            later = pool.submit(star, run.folder, 1, on=True)
            time.sleep(0.2)
            shutil.rmtree(run.folder)
        with pytest.raises(StcError, match="the run is gone"):
            later.result()
    assert not run.folder.exists()


def test_a_run_that_is_gone_does_not_come_back_by_a_star(tmp_path: Path):
    with pytest.raises(StcError, match="the run is gone"):
        star(tmp_path / "gone", 1, on=True)
    assert not (tmp_path / "gone").exists()
