"""The queue: who waits, who is started, by whom, and that nobody is started twice."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from helpers.command import Stc
from stc_core.config import DataConfig, RunConfig
from stc_core.errors import StcError
from stc_core.files import write_json
from stc_core.paths import runs_folder
from stc_core.runs.processes import jobs, queue
from stc_core.runs.processes.worker import Worker
from stc_core.runs.run import Run
from stc_core.runs.status import TICKET, doing_line
from stc_core.runs.writer import RunWriter, create_run

RECIPES = """
import sys, time, types
from pathlib import Path

def train(config, writer):
    writer.phase("extract", total=10)
    if config.name == "dies" and not writer.folder.with_name("let").exists():
        import os; os._exit(9)
    while config.name == "long" and not writer.folder.with_name("let").exists():
        time.sleep(0.05)
    return writer.finish()

recipes = types.ModuleType("stc_core.recipes.registry")
recipes.train = train
sys.modules["stc_core.recipes.registry"] = recipes
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    monkeypatch.delenv(queue.VARIABLE, raising=False)
    return tmp_path


@pytest.fixture
def spawned(monkeypatch) -> list[str]:
    """The names of the runs that would have been started; each is at work for ever."""
    names: list[str] = []

    def spawn(command: str, folder: Path, **_: object) -> None:
        time.sleep(0.02)  # others come meanwhile
        names.append(folder.name)
        write_json(folder / "worker.json", Worker.current()._asdict())

    monkeypatch.setattr(queue, "spawn", spawn)
    return names


@pytest.fixture
def workers(home: Path, monkeypatch) -> None:
    """Real worker processes, with a recipe of a few lines."""
    (home / "site").mkdir()
    (home / "site" / "sitecustomize.py").write_text(RECIPES)
    monkeypatch.setenv("PYTHONPATH", str(home / "site"))


def asked(name: str) -> Path:
    config = RunConfig(name=name, data=DataConfig(path="x.csv"))
    return jobs.start(config, runs_folder() / name)


def wait_for(folder: Path, state: str, limit_s: float = 30) -> None:
    run, end = Run(folder), time.monotonic() + limit_s
    while run.status["state"] != state:
        assert time.monotonic() < end, (folder.name, run.status, run.log_tail())
        time.sleep(0.05)


def test_the_first_begins_and_the_others_wait_in_order(spawned: list[str]):
    a, b, c = asked("a"), asked("b"), asked("c")
    assert spawned == ["a"]
    assert queue.waiting_runs() == [b, c] and queue.active_runs() == [a]
    assert [queue.position(one) for one in (a, b, c)] == [None, 1, 2]
    assert doing_line(Run(c).status, position=2) == "Waiting, number 2 in the queue"
    assert doing_line(Run(a).status) == "Starting"


def test_the_users_of_a_machine_wait_in_one_queue(spawned: list[str], home: Path):
    a, runs = asked("a"), home / "users" / "other" / "runs"
    runs.mkdir(parents=True)
    theirs = jobs.start(Run(a).config, runs / "theirs")
    b = asked("b")
    assert spawned == ["a"] and queue.waiting_runs() == [theirs, b]
    assert [queue.position(one) for one in (theirs, b)] == [1, 2]
    RunWriter(a, Run(a).config).finish()
    assert queue.advance() == [theirs] and queue.active_runs() == [theirs]
    assert queue.leave_queue(b) and queue.waiting_runs() == []


def test_one_that_waits_is_alive_however_long(spawned: list[str]):
    asked("a")
    old = {**Run(b := asked("b")).status, "heartbeat": 1.0, "started": 1.0}
    write_json(b / "status.json", old)
    assert Run(b).status["state"] == "queued" and jobs.is_alive(b)


def test_a_free_place_is_taken_by_whoever_looks(spawned: list[str]):
    a, b, c = asked("a"), asked("b"), asked("c")
    RunWriter(a, Run(a).config).finish()
    assert queue.advance() == [b] and spawned == ["a", "b"]
    assert queue.advance() == []
    assert queue.position(c) == 1


def test_a_worker_that_died_leaves_its_place(spawned: list[str]):
    a, b = asked("a"), asked("b")
    write_json(a / "worker.json", Worker(os.getpid(), 1.0, _host())._asdict())
    assert queue.advance() == [b]
    assert Run(a).status["state"] == "failed"


def test_another_machine_takes_no_place_here(spawned: list[str]):
    writer = RunWriter(runs_folder() / "far", RunConfig(data=DataConfig(path="x")))
    writer.status["host"] = "elsewhere"
    writer.note("")
    asked("a")
    assert spawned == ["a"]


def test_a_damaged_run_stops_nobody(spawned: list[str]):
    asked("a")
    (broken := runs_folder() / "broken").mkdir()
    (broken / "status.json").write_text("{")
    (broken / TICKET).touch()
    b = asked("b")
    (runs_folder() / "a" / "status.json").write_text("[]")
    assert queue.advance() == [b]
    assert not (broken / TICKET).exists()


def test_more_places_start_more(spawned: list[str], monkeypatch):
    for name in "abcd":
        asked(name)
    queue.set_places(2)
    assert len(queue.advance()) == 1
    monkeypatch.setenv(queue.VARIABLE, "3")
    assert queue.places() == 3 and len(queue.advance()) == 1
    assert spawned == ["a", "b", "c"]


@pytest.mark.parametrize("said", ["0", "many", "-1"])
def test_a_number_of_places_that_is_none_is_refused(said: str, monkeypatch):
    monkeypatch.setenv(queue.VARIABLE, said)
    with pytest.raises(StcError, match="STC_JOBS"):
        queue.places()


def test_other_settings_of_the_home_are_kept(home: Path):
    write_json(home / "settings.json", {"other": 1})
    assert queue.places() == 1
    queue.set_places(4)
    assert queue.places() == 4 and '"other": 1' in (home / "settings.json").read_text()


def test_of_many_starters_one_starts_it(spawned: list[str]):
    for name in ("a", "b", "c"):
        folder = runs_folder() / name
        create_run(folder, RunConfig(data=DataConfig(path="x")))
        (folder / TICKET).touch()
    with ThreadPoolExecutor(8) as pool:
        started = list(pool.map(lambda _: queue.advance(), range(8)))
    assert spawned == ["a"] and sum(map(len, started)) == 1


def test_one_that_waits_is_cancelled_and_never_begins(spawned: list[str]):
    a, b, c = asked("a"), asked("b"), asked("c")
    assert jobs.cancel(b)
    assert Run(b).status["state"] == "cancelled" and queue.position(c) == 1
    RunWriter(a, Run(a).config).finish()
    assert queue.advance() == [c] and "b" not in spawned
    assert not jobs.cancel(b)


def test_one_that_was_cancelled_in_the_queue_can_be_resumed(spawned: list[str]):
    asked("a")
    b, c = asked("b"), asked("c")
    jobs.cancel(b)
    jobs.resume(b)
    assert queue.waiting_runs() == [c, b]
    with pytest.raises(StcError, match="queued"):
        jobs.resume(b)


def test_of_many_who_resume_it_one_does(spawned: list[str]):
    a, b = asked("a"), asked("b")
    jobs.cancel(b)
    RunWriter(a, Run(a).config).finish()

    def resumed(_: int) -> bool:
        try:
            return jobs.resume(b) == b
        except StcError:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(resumed, range(8))) == 1
    assert spawned == ["a", "b"]


def test_the_command_and_the_app_do_not_both_resume_it(
    stc: Stc, spawned: list[str], monkeypatch
):
    """The command claims the run before it begins, and finds it claimed by the app."""
    first, second = asked("first"), asked("second")
    for folder in (first, second):
        (folder / TICKET).unlink(missing_ok=True)
        RunWriter(folder, Run(folder).config).fail(KeyboardInterrupt())
    begun: list[Path] = []

    def begin(folder: Path, *given: object, **more: object) -> None:
        begun.append(folder)
        raise StcError("It has begun")

    monkeypatch.setattr("stc_core.runs.writer.RunWriter", begin)
    told = stc("resume", "first")
    assert begun == [first] and "It has begun" in told.err
    with pytest.raises(StcError, match="queued"):
        jobs.resume(first)
    told = stc("resume", "first")
    assert told.code == 2 and "queued" in told.err
    jobs.resume(second)
    assert stc("resume", "second").code == 2
    assert begun == [first]


def test_a_run_elsewhere_never_waits(spawned: list[str], tmp_path: Path):
    asked("a")
    config = RunConfig(data=DataConfig(path="x"))
    jobs.start(config, tmp_path / "elsewhere" / "mine")
    assert spawned == ["a", "mine"] and queue.waiting_runs() == []


def _host() -> str:
    return Worker.current().host


def test_real_workers_start_one_another(workers: None):
    """Three runs, one place: none at the same time, and nobody looks after them."""
    folders = [asked("long"), asked("b"), asked("c")]
    wait_for(folders[0], "running")
    assert [Run(one).status["state"] for one in folders[1:]] == ["queued", "queued"]
    (runs_folder() / "let").touch()
    for folder in folders:
        wait_for(folder, "done")
    began = [Run(folder).status["started"] for folder in folders]
    ended = [Run(folder).status["heartbeat"] for folder in folders]
    assert began[1] >= ended[0] and began[2] >= ended[1]
    assert len({Run(folder).status["pid"] for folder in folders}) == 3


def test_a_killed_run_lets_the_next_begin_and_can_be_resumed(workers: None):
    """Killed, it says nothing; whoever started it notices, if still there."""
    first = asked("long")
    wait_for(first, "running")
    second = asked("b")
    worker = Run(first).worker()
    assert worker is not None
    os.kill(worker.pid, 9)
    wait_for(second, "done")
    assert Run(first).status["state"] == "failed"
    (runs_folder() / "let").touch()
    created = Run(first).created
    jobs.resume(first)
    wait_for(first, "done")
    assert Run(first).created == created


def test_cancelling_lets_the_next_begin(workers: None):
    first, second = asked("long"), asked("b")
    wait_for(first, "running")
    assert jobs.cancel(first)
    wait_for(second, "done")
    assert Run(first).status["state"] == "cancelled"


@pytest.mark.parametrize("fault", [None, ValueError("of its own")])
def test_a_setting_that_cannot_be_read_does_not_hide_how_the_work_ended(
    spawned, monkeypatch, fault
):
    folder = runs_folder() / "waits"
    create_run(folder, RunConfig(data=DataConfig(path="t")))
    (folder / TICKET).touch()
    monkeypatch.setenv(queue.VARIABLE, "many")
    try:
        with queue.advance_at_end():
            if fault:
                raise fault
    except ValueError as raised:
        assert raised is fault
    else:
        assert fault is None
    assert spawned == []
    with pytest.raises(StcError):
        queue.advance()


def _finish(_: RunConfig, writer: RunWriter) -> Run:
    return writer.finish()


def test_a_run_begins_only_when_nobody_else_may_begin_it():
    """Else one whose ticket was left behind by a starter that died is begun twice."""
    folder = runs_folder() / "a"
    create_run(folder, RunConfig(data=DataConfig(path="t")))
    with ThreadPoolExecutor(1) as other:
        with queue.queue_lock():
            begun = other.submit(jobs.work, folder, _finish)
            time.sleep(0.3)
            assert Run(folder).status["state"] == "queued"
        begun.result(timeout=30)
    assert Run(folder).done
    with pytest.raises(StcError, match="expected a queued run; got a done run"):
        jobs.work(folder, _finish)
