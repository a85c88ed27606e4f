"""Deleted runs come back whole, go for good when they are old, and never at work."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from helpers.app import written_run
from stc_core.config import DataConfig, RunConfig, ShrinkConfig, TrainConfig
from stc_core.errors import StcError
from stc_core.paths import runs_folder as runs
from stc_core.paths import trash_folder
from stc_core.runs import trash
from stc_core.runs.annotations import rename
from stc_core.runs.processes import queue
from stc_core.runs.run import Run, list_runs
from stc_core.runs.status import TICKET
from stc_core.runs.writer import RunWriter, create_run


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    return tmp_path


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_undo_brings_back_every_file():
    run = written_run(runs() / "one", "one")
    rename(run.folder, "renamed")
    before = held(run.folder)
    gone = trash.delete(run)
    assert (gone.key, gone.name) == ("one", "renamed") and not run.folder.exists()
    assert gone.n_bytes == sum(map(len, before.values()))
    assert list_runs() == [] and [one.key for one in trash.list_trash()] == ["one"]
    assert trash.restore(gone.key) == run.folder
    assert held(run.folder) == before and trash.list_trash() == []


def test_a_name_that_is_taken_gets_a_number():
    for _ in range(2):
        trash.delete(written_run(runs() / "one", "one"))
    assert {one.key for one in trash.list_trash()} == {"one", "one-2"}
    assert trash.restore("one-2").name == "one"
    assert trash.restore("one").name == "one-2"
    with pytest.raises(StcError, match="trash"):
        trash.restore("one")


@pytest.mark.parametrize("key", ["../runs/one", "", ".", "/"])
def test_only_the_trash_is_restored(key: str):
    written_run(runs() / "one", "one")
    with pytest.raises(StcError, match="trash"):
        trash.restore(key)


def test_the_trash_is_emptied_by_age_or_at_once():
    for name in ("old", "new"):
        trash.delete(written_run(runs() / name, name))
    past = time.time() - 31 * 86400
    os.utime(trash_folder() / "old" / trash._FILE, (past, past))
    assert trash.empty_trash(older_days=trash.KEPT_DAYS) > 0
    assert [one.key for one in trash.list_trash()] == ["new"]
    assert (
        trash.empty_trash() > 0
        and trash.list_trash() == []
        and trash.empty_trash() == 0
    )


def test_of_many_who_empty_it_at_once_none_stumbles():
    for name in map(str, range(20)):
        trash.delete(written_run(runs() / name, name))
    n_bytes = sum(one.n_bytes for one in trash.list_trash())
    with ThreadPoolExecutor(4) as pool:
        freed = list(pool.map(lambda _: trash.empty_trash(), range(4)))
    assert trash.list_trash() == [] and sum(freed) == n_bytes


@pytest.mark.parametrize("first", [trash._FILE, "config.json", None])
def test_what_a_kill_left_of_a_run_goes_the_next_time(first: str | None, monkeypatch):
    """Whatever file went first, it never returns half, nor stays unseen for ever."""
    trash.delete(written_run(runs() / "one", "one"))
    folder = trash_folder() / "one"

    def killed(path: Path, *_: object) -> None:
        if first:
            (path / first).unlink(missing_ok=True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(trash.shutil, "rmtree", killed)
        trash.empty_trash()
    assert folder.exists() and trash.list_trash() == []
    with pytest.raises(StcError, match="trash"):
        trash.restore("one")
    trash.delete(written_run(runs() / "new", "new"))
    assert trash.empty_trash(older_days=trash.KEPT_DAYS) > 0 and not folder.exists()
    assert [one.key for one in trash.list_trash()] == ["new"]


def test_what_cannot_be_removed_is_said(monkeypatch):
    trash.delete(written_run(runs() / "one", "one"))

    def refused(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(trash.shutil, "rmtree", refused)
    with pytest.raises(StcError, match=r"one'.*Permission denied"):
        trash.empty_trash()


def test_a_run_at_work_is_never_deleted():
    run = written_run(runs() / "one", "one", state="running")
    with pytest.raises(StcError, match="Cancel it first"):
        trash.delete(run)
    assert run.folder.is_dir()


def test_a_run_that_waits_is_never_deleted(monkeypatch):
    monkeypatch.setattr(queue, "spawn", lambda *_, **__: None)
    folder = runs() / "one"
    create_run(folder, RunConfig(data=DataConfig(path="x")))
    (folder / TICKET).touch()
    with pytest.raises(StcError, match="Cancel it first"):
        trash.delete(Run(folder))


def test_a_run_of_another_folder_is_the_users_own(tmp_path: Path):
    run = written_run(tmp_path / "mine" / "one", "one")
    with pytest.raises(StcError, match="Remove the folder yourself"):
        trash.delete(run)
    assert run.done


def test_who_needs_a_run_is_known():
    """A model tuned there is read for ever, a parent while a run is cut from it."""
    run = written_run(runs() / "one", "one")
    written_run(runs() / "one-2", "stranger")
    data = DataConfig(path="x")
    train = TrainConfig(backbone=str(run.folder / "backbone"))
    RunWriter(runs() / "reads", RunConfig(data=data, train=train)).finish()
    (broken := runs() / "broken").mkdir()
    (broken / "config.json").write_text("{")
    assert [one.folder.name for one in trash.needed_by(run)] == ["reads"]
    shrink = ShrinkConfig(parent=str(run.folder))
    writer = RunWriter(runs() / "cut", RunConfig(data=data, shrink=shrink))
    assert {one.folder.name for one in trash.needed_by(run)} == {"reads", "cut"}
    with pytest.raises(StcError, match="reading"):
        trash.delete(run)
    writer.finish()
    trash.delete(run)
    assert not run.folder.exists()
