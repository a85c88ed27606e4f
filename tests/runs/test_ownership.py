"""A run folder has one owner, from the first byte on."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stc_core.config import DataConfig, RunConfig
from stc_core.errors import StcError
from stc_core.runs import trash
from stc_core.runs.ownership import lock_path, owned
from stc_core.runs.processes import jobs
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter

CONFIG = RunConfig(data=DataConfig(path="a.csv"))
OWNER = """
import sys, time
from pathlib import Path
from stc_core.runs.ownership import own
lock = own(Path(sys.argv[1]))
print("owned", flush=True)
time.sleep(60)
"""


@pytest.fixture
def other(tmp_path: Path):
    """Another process that owns the folder `r`."""
    command = [sys.executable, "-c", OWNER, str(tmp_path / "r")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "owned\n"
        yield process
        process.kill()


def test_an_owner_may_own_it_again_and_leaves_nothing(tmp_path: Path):
    folder = tmp_path / "deep" / "r"
    with owned(folder), owned(folder):
        assert lock_path(folder).read_text() == str(os.getpid())
    assert not lock_path(folder).exists() and not folder.exists()
    with owned(folder):
        pass


def test_another_process_is_refused_and_the_owner_is_named(tmp_path: Path, other):
    folder = tmp_path / "r"
    said = f"process {other.pid} works on.*choose another folder"
    with pytest.raises(StcError, match=said), owned(folder):
        pass
    with pytest.raises(StcError, match=said):
        RunWriter(folder, CONFIG)
    with pytest.raises(StcError, match=said):
        jobs.start(CONFIG, folder)
    with pytest.raises(StcError, match=said), jobs.prepared_folder(folder):
        pass
    assert not folder.exists()


def test_another_thread_is_refused_too(tmp_path: Path):
    def refused() -> bool:
        with pytest.raises(StcError, match="works on"), owned(tmp_path / "r"):
            pass
        return True

    with owned(tmp_path / "r"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(refused).result()


def test_the_lock_of_a_dead_process_blocks_nobody(tmp_path: Path, other):
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    assert lock_path(tmp_path / "r").exists()
    with RunWriter(tmp_path / "r", CONFIG) as writer:
        writer.finish()
    assert not lock_path(tmp_path / "r").exists()


def test_whoever_waits_for_a_removed_lock_does_not_own_it_twice(tmp_path: Path):
    """Many threads take turns; no two are ever inside."""
    inside: list[int] = []

    def turn(_: int) -> int:
        try:
            with owned(tmp_path / "r"):
                inside.append(1)
                assert len(inside) == 1
                inside.pop()
                return 1
        except StcError:
            return 0

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(turn, range(400))) > 0


def test_a_run_with_an_owner_is_neither_resumed_nor_deleted(tmp_path, monkeypatch):
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    folder = tmp_path / "runs" / "r"
    with pytest.raises(StcError), RunWriter(folder, CONFIG):
        raise StcError("no")

    def refused() -> None:
        for act in (jobs.claim, jobs.resume, lambda path: trash.delete(Run(path))):
            with pytest.raises(StcError, match="works on"):
                act(folder)

    with owned(folder), ThreadPoolExecutor(1) as pool:
        pool.submit(refused).result()
    assert Run(folder).status["state"] == "failed"
    trash.delete(Run(folder))
    assert not folder.exists()


def test_a_folder_where_a_start_was_killed_is_vacant(tmp_path: Path):
    folder = tmp_path / "r"
    RunWriter(folder, CONFIG)
    (folder / "config.json").unlink()
    (folder / "log.txt").unlink(missing_ok=True)
    (folder / ".4194305-1.config.json").write_text("{")
    with jobs.prepared_folder(folder) as ready:
        RunWriter(ready, CONFIG).finish()
    assert Run.open(folder).done
    assert not list(folder.glob(".*"))


def test_one_that_dies_before_it_resumes_has_failed_at_once(tmp_path: Path):
    from stc_core.runs.processes.worker import Worker

    folder = tmp_path / "r"
    with pytest.raises(StcError), RunWriter(folder, CONFIG):
        raise StcError("no")
    jobs.claim(folder, by=Worker(2**22 + 1, 1.0, Worker.current().host))
    assert Run(folder).status["state"] == "failed"
    jobs.claim(folder, by=Worker.current())
    assert Run(folder).status["state"] == "queued"
