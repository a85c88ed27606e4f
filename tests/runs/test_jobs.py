"""Worker processes: they start, end, die and are stopped, and the run says so.

The recipe is not the subject here, so the worker process gets one of a few lines.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from stc_core.config import DataConfig, RunConfig
from stc_core.errors import StcError
from stc_core.runs.processes import jobs
from stc_core.runs.processes.worker import Worker
from stc_core.runs.run import Run
from stc_core.runs.status import BUSY
from stc_core.runs.writer import RunWriter, create_run

RECIPES = """
import os, subprocess, sys, time, types
from stc_core.errors import StcError

def train(config, writer):
    print("said on stdout", flush=True)
    writer.phase("extract", total=10)
    if config.name == "mend":
        raise StcError("column 'x'", remedy="Pass --text.")
    if config.name == "bug":
        1 / 0
    if config.name == "die":
        os._exit(9)
    if config.name == "long":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        writer.write_json("child.json", {"pid": child.pid})
        time.sleep(60)
    return writer.finish()

recipes = types.ModuleType("stc_core.recipes.registry")
recipes.train = train
sys.modules["stc_core.recipes.registry"] = recipes
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch) -> Path:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(RECIPES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    return tmp_path


def config(name: str = "") -> RunConfig:
    return RunConfig(name=name, data=DataConfig(path="My Data!.csv.gz"))


def wait_for(run: Run, *states: str, limit_s: float = 20) -> None:
    end = time.monotonic() + limit_s
    while run.status["state"] not in states:
        assert time.monotonic() < end, (run.status, run.log_tail())
        assert run.status["state"] in (*BUSY, *states), run.log_tail()
        time.sleep(0.05)


def test_a_job_is_done_by_a_process_of_its_own(home: Path):
    began = time.monotonic()
    folder = jobs.start(config())
    assert time.monotonic() - began < 1
    assert folder.parent == home / "runs" and folder.name.endswith("-my-data")
    run = Run.open(folder)
    wait_for(run, "done")
    assert run.status["pid"] not in (None, os.getpid())
    assert run.config.data.path == str(Path("My Data!.csv.gz").absolute())
    assert "said on stdout" in run.log_tail()
    assert not jobs.is_alive(folder)
    assert not jobs.cancel(folder) and run.done


def test_a_job_outlives_the_process_that_started_it(home: Path):
    code = (
        "from stc_core.runs.processes import jobs; from stc_core.config import *;"
        "jobs.start(RunConfig(name='long', data=DataConfig(path='x')), 'runs/r')"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": f"{Path(__file__).parents[2]}:{home / 'site'}",
    }
    subprocess.run([sys.executable, "-c", code], cwd=home, env=environment, check=True)
    run = Run.open(home / "runs" / "r")
    wait_for(run, "running")
    time.sleep(0.2)
    assert jobs.is_alive(run.folder)
    assert jobs.cancel(run.folder)


def test_two_jobs_of_one_second_have_folders_of_their_own():
    folders = {jobs.new_folder(config("same")) for _ in range(3)}
    assert len(folders) == 3


@pytest.mark.parametrize(("name", "mend"), [("mend", True), ("bug", False)])
def test_an_error_is_in_the_status(name: str, mend: bool):
    run = Run.open(jobs.start(config(name)))
    wait_for(run, "failed")
    error = run.status["error"]
    assert error is not None and error["mend"] is mend
    assert ("Pass --text." in error["message"]) is mend
    assert ("ZeroDivisionError" in run.log_tail()) is not mend


def test_a_worker_that_dies_is_a_failed_run():
    run = Run.open(jobs.start(config("die")))
    wait_for(run, "failed")
    error = run.status["error"]
    assert error is not None and "ended without" in error["message"]
    assert "said on stdout" in error["traceback"] and run.status["phase"] == "extract"


def test_a_worker_that_dies_before_its_first_word(home: Path):
    (home / "site" / "sitecustomize.py").write_text("import os; os._exit(3)")
    run = Run.open(jobs.start(config()))
    wait_for(run, "failed")
    error = run.status["error"]
    assert (
        error is not None and "ended without" in error["message"] and not error["mend"]
    )
    assert run.status["pid"] is None and not run.done


def test_cancel_stops_the_worker_and_its_children():
    folder = jobs.start(config("long"))
    run = Run.open(folder)
    end = time.monotonic() + 20
    while not run.has("child.json"):
        assert time.monotonic() < end, run.log_tail()
        time.sleep(0.05)
    child = int((folder / "child.json").read_text().split(":")[1].strip(" }\n"))
    worker = run.worker()
    assert worker is not None and worker.process() is not None
    assert psutil.pid_exists(child)
    assert jobs.cancel(folder)
    assert run.status["state"] == "cancelled" and run.status["error"] is None
    assert worker.process() is None
    assert Worker.of(child).process() is None
    assert not jobs.is_alive(folder) and not jobs.cancel(folder)


def test_cancel_before_the_worker_is_known_keeps_it_from_starting(home: Path):
    folder = home / "runs" / "r"
    create_run(folder, config())
    assert jobs.is_alive(folder)
    assert jobs.cancel(folder)
    with pytest.raises(StcError, match=r"queued run.*cancelled"):
        jobs.work(folder, lambda _, writer: writer.finish())


def test_cancel_never_touches_another_process(home: Path):
    writer = RunWriter(home / "runs" / "r", config())
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as one:
        writer.status["pid"] = one.pid
        writer.status["born"] = 1.0
        writer.note("the pid has been taken by another process")
        assert not jobs.cancel(writer.folder)
        assert one.poll() is None
        one.kill()


def test_a_worker_of_another_machine_is_not_ours_to_stop(home: Path):
    writer = RunWriter(home / "runs" / "r", config())
    writer.status["host"] = "elsewhere"
    writer.note("")
    with pytest.raises(StcError, match="elsewhere"):
        jobs.cancel(writer.folder)


def test_a_zombie_is_dead():
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    worker = Worker.of(child.pid)
    end = time.monotonic() + 10
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert worker.process() is None and not worker.stop()
    child.wait()


def test_children_that_ended_are_waited_for():
    folder = jobs.start(config())
    worker = Run(folder).worker()
    assert worker is not None
    end = time.monotonic() + 20
    while psutil.pid_exists(worker.pid):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_new_run_goes_only_where_nothing_is(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    assert jobs.check_vacant(tmp_path / "empty") == tmp_path / "empty"
    assert not (jobs.check_vacant(tmp_path / "new") / "x").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("dear")
    with pytest.raises(StcError, match="other files"):
        jobs.check_vacant(tmp_path / "full")
    with (
        pytest.raises(StcError, match="other files"),
        jobs.prepared_folder(tmp_path / "full", overwrite=True),
    ):
        pass
    RunWriter(tmp_path / "run", config())
    with pytest.raises(StcError, match="a folder with a run"):
        jobs.start(config(), tmp_path / "run")


def test_a_folder_that_only_looks_like_a_run_is_left_alone(tmp_path: Path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "bert"}')
    for status in (False, True):
        if status:
            (tmp_path / "model" / "status.json").write_text("{}")
        with (
            pytest.raises(StcError),
            jobs.prepared_folder(tmp_path / "model", overwrite=True),
        ):
            pass
        assert (tmp_path / "model" / "config.json").exists()


def test_a_finished_run_makes_way_only_when_asked(tmp_path: Path):
    folder = tmp_path / "r"
    RunWriter(folder, config("old")).finish()
    with pytest.raises(StcError, match="--overwrite"), jobs.prepared_folder(folder):
        pass
    with jobs.prepared_folder(folder, overwrite=True):
        assert not folder.exists() and Run.open(tmp_path / "r.before").done
        RunWriter(folder, config("new")).finish()
    assert Run.open(folder).name == "new"
    assert not (tmp_path / "r.before").exists()


def test_the_earlier_run_comes_back_when_the_new_one_never_began(tmp_path: Path):
    folder = tmp_path / "r"
    RunWriter(folder, config("old")).finish()
    with (
        pytest.raises(StcError, match="bad data"),
        jobs.prepared_folder(folder, overwrite=True),
    ):
        folder.mkdir()
        shutil.rmtree(folder)
        raise StcError("bad data")
    assert Run.open(folder).name == "old"


def test_the_earlier_run_is_kept_beside_one_that_failed(tmp_path: Path):
    folder = tmp_path / "r"
    RunWriter(folder, config("old")).finish()
    with pytest.raises(StcError), jobs.prepared_folder(folder, overwrite=True):
        RunWriter(folder, config("new")).fail(StcError("no"))
        raise StcError("no")
    assert Run.open(folder).status["state"] == "failed"
    assert Run.open(tmp_path / "r.before").done
    # The failed one makes way freely, but the one kept beside is never lost.
    with jobs.prepared_folder(folder):
        RunWriter(folder, config("third")).finish()
    assert Run.open(tmp_path / "r.before").name == "old"
    with (
        pytest.raises(StcError, match="Rename or remove"),
        jobs.prepared_folder(folder, overwrite=True),
    ):
        pass
    assert Run.open(folder).name == "third"


def test_an_overwrite_that_failed_can_be_tried_again(tmp_path: Path):
    folder, before = tmp_path / "r", tmp_path / "r.before"
    RunWriter(folder, config("old")).finish()
    with pytest.raises(StcError), jobs.prepared_folder(folder, overwrite=True):
        RunWriter(folder, config("new")).fail(StcError("no"))
        raise StcError("no")
    with jobs.prepared_folder(folder, overwrite=True):
        assert Run.open(before).name == "old"
        RunWriter(folder, config("third")).finish()
    assert Run.open(folder).name == "third"
    assert not before.exists()


def test_a_live_run_never_makes_way(tmp_path: Path):
    RunWriter(tmp_path / "r", config())
    with (
        pytest.raises(StcError, match="an active run"),
        jobs.prepared_folder(tmp_path / "r", overwrite=True),
    ):
        pass
