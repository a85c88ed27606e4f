"""The commands that list, rename, cancel and delete runs."""

import json
from pathlib import Path

import pytest

from helpers.app import written_run
from helpers.command import Stc
from stc_core.cli.common import open_run
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.errors import StcError
from stc_core.paths import runs_folder
from stc_core.runs import trash
from stc_core.runs.annotations import rename, tag
from stc_core.runs.listing import run_table, sort_runs
from stc_core.runs.processes import jobs, queue
from stc_core.runs.run import Run, list_runs
from stc_core.runs.writer import RunWriter, create_run


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    monkeypatch.setattr(queue, "spawn", lambda *_, **__: None)
    return tmp_path


@pytest.fixture
def run() -> Run:
    return written_run(runs_folder() / "one", "one")


def test_runs_tells_tags_and_the_place_in_the_queue(stc: Stc, run: Run):
    tag(run.folder, ["paper"])
    written_run(runs_folder() / "busy", "busy", state="running")
    jobs.start(RunConfig(name="waits", data=DataConfig(path="x")))
    told = {one["name"]: one for one in json.loads(stc("runs", "--json").out)}
    assert told["one"]["tags"] == ["paper"] and told["one"]["position"] is None
    assert (told["waits"]["state"], told["waits"]["position"]) == ("queued", 1)
    assert "queued, 1" in stc("runs").out


@pytest.mark.parametrize(
    ("width", "heads"),
    [
        ("150", "run name state accuracy macro-F1 neurons time"),
        ("80", "run state accuracy"),
        ("40", "run name state accuracy macro-F1 neurons time"),
    ],
)
def test_columns_give_way_before_a_folder_is_broken(
    stc: Stc, monkeypatch, width, heads
):
    monkeypatch.setenv("COLUMNS", width)
    folder = "20261126-120000-support-requests-of-the-last-year"
    written_run(runs_folder() / folder, "support requests of the last year")
    said = stc("runs")
    lines = said.out.splitlines()
    assert max(map(len, lines)) <= int(width)
    whole = any(folder in line for line in lines)
    assert whole == (int(width) >= 80)
    if whole:
        assert next(line for line in lines if "state" in line).split() == heads.split()
    assert ("Not shown" in said.err) == (width == "80")


def test_runs_starts_what_waits(stc: Stc):
    busy = written_run(runs_folder() / "busy", "busy", state="running")
    waits = jobs.start(RunConfig(data=DataConfig(path="x")))
    RunWriter(busy.folder, busy.config).finish()
    stc("runs")
    assert queue.position(waits) is None


DAMAGE = {
    "config": ("config.json", {"train": {"tolerance": 1.0}}, "failed"),
    "created": ("config.json", {"created": "yesterday"}, "done"),
    "metrics": ("metrics.json", {"test": [], "seconds": 3}, "done"),
    "time": ("status.json", {"state": "running", "heartbeat": None}, "failed"),
    "phase": ("status.json", {"state": "queued", "phase": "dream"}, "failed"),
    "process": ("status.json", {"state": "running", "pid": "me"}, "failed"),
    "error": ("status.json", {"state": "failed", "error": "no"}, "failed"),
    "worker": ("worker.json", {"pid": 3}, "failed"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_run_that_is_damaged_is_listed_beside_the_others(stc: Stc, run: Run, kind):
    """In the list of the command, and in the listing of the page."""
    name, changes, state = DAMAGE[kind]
    bad = written_run(runs_folder() / "bad", "bad")
    path = bad.folder / name
    held = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    if kind == "worker":
        create_run(bad.folder, bad.config)  # queued, and taken by nobody knows whom
    path.write_text(json.dumps(held | changes), "utf-8")
    said = stc("runs")
    assert said.code == 0 and "Traceback" not in said.err, said.err
    told = {one["run"]: one for one in json.loads(stc("runs", "--json").out)}
    assert told["bad"]["state"] == state and told["one"]["state"] == "done"
    shown = run_table(sort_runs([one.summary() for one in list_runs()], "newest"))
    assert sorted(shown["Name"]) == ["bad", "one"]


def test_rename(stc: Stc, run: Run):
    said = stc("rename", "one", "the best")
    assert said.code == 0 and "'the best'" in said.err and run.name == "the best"
    assert stc("rename", "one", "").code == 0 and run.name == "one"
    assert stc("rename", "two", "x").code == 2


def test_a_name_given_later_opens_its_run_unless_several_have_it(stc: Stc, run: Run):
    other = written_run(runs_folder() / "two", "two")
    rename(run.folder, "the best")
    assert open_run("the best").folder == open_run("one").folder == run.folder
    assert open_run(str(run.folder)).folder == run.folder
    rename(other.folder, "the best")
    with pytest.raises(StcError) as told:
        open_run("the best")
    assert "one, two" in str(told.value) or "two, one" in str(told.value)
    with pytest.raises(StcError, match="no such file or folder"):
        open_run("three")


def test_cancel(stc: Stc, run: Run):
    written_run(runs_folder() / "busy", "busy", state="running")
    waits = jobs.start(RunConfig(data=DataConfig(path="x")))
    assert "Cancelled" in stc("cancel", waits.name).err
    assert Run(waits).status["state"] == "cancelled"
    assert "already ended" in stc("cancel", "one").err


def test_delete_says_where_it_is_and_who_reads_it(stc: Stc, run: Run):
    train = TrainConfig(backbone=str(run.folder / "backbone"))
    config = RunConfig(name="reads", data=DataConfig(path="x"), train=train)
    RunWriter(runs_folder() / "reads", config).finish()
    said = stc("delete", run.folder)
    assert said.code == 0 and "trash/one" in said.err and "'reads' reads" in said.err
    assert trash.restore("one") == run.folder and run.done


@pytest.mark.parametrize("name", ["none", "", "../runs", "busy"])
def test_what_cannot_be_deleted_stays(stc: Stc, run: Run, name: str):
    written_run(runs_folder() / "busy", "busy", state="running")
    said = stc("delete", name)
    assert said.code == 2 and "Traceback" not in said.err
    assert run.done and trash.list_trash() == []


def test_a_damaged_run_can_be_deleted(stc: Stc, run: Run):
    (run.folder / "config.json").write_text("{")
    assert stc("delete", "one").code == 0 and not run.folder.exists()
