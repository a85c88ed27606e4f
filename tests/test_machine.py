"""What the machine refuses is a sentence at every door: commands, pages, workers."""

import errno
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from helpers.app import fine, said, visit, written_run
from helpers.command import Stc
from stc_core import memory
from stc_core.data.uploads import list_uploads
from stc_core.errors import StcError
from stc_core.files import machine_error, read_json, replacing, write_json
from stc_core.runs import trash
from stc_core.runs.processes.worker import Worker
from stc_core.runs.status import ended_status, new_status, observe_status
from ui.data import view as data_page

NUMBERS = [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO, errno.EMFILE]


def refusal(number: int, path: str | None = "/x/y") -> OSError:
    return OSError(number, os.strerror(number), path)


@pytest.mark.parametrize("number", NUMBERS)
def test_an_error_of_the_machine_names_the_file_and_the_way_out(number: int):
    error = machine_error(refusal(number))
    assert error is not None and error.where == "file '/x/y'"
    assert error.got == os.strerror(number) and error.remedy
    nameless = machine_error(OSError(number, os.strerror(number)))
    assert nameless is not None and nameless.where == "this machine"


def test_another_error_is_a_bug():
    for error in (OSError(errno.ENOENT, "x"), OSError("x"), ValueError("x")):
        assert machine_error(error) is None


@pytest.mark.parametrize("number", NUMBERS)
def test_a_command_says_it_and_ends_with_2(
    number: int, stc: Stc, own_home, monkeypatch
):
    written_run(own_home / "runs" / "one", "one")

    def refuse(run: object) -> None:
        raise refusal(number, str(own_home / "runs.lock"))

    monkeypatch.setattr(trash, "delete", refuse)
    ended = stc("delete", "one")
    assert ended.code == 2 and ended.out == ""
    assert ended.err.startswith(f"Error: file '{own_home}/runs.lock': got ")
    assert (own_home / "runs" / "one").is_dir()


def test_a_page_says_it(own_home: Path, monkeypatch):
    own_home.mkdir()

    def refuse() -> None:
        raise refusal(errno.EROFS)

    monkeypatch.setattr(data_page, "list_uploads", refuse)
    app: AppTest = fine(visit("pages/1_Data.py"))
    assert "Read\\-only file system" in said(app)
    monkeypatch.setattr(data_page, "list_uploads", list_uploads)
    assert not fine(visit("pages/1_Data.py")).error


def test_a_worker_says_it_in_its_status():
    error = ended_status(new_status("running"), refusal(errno.ENOSPC))["error"]
    assert error is not None and error["mend"] and not error["traceback"]
    assert "Free some disk space" in error["message"]


def test_a_worker_that_could_not_even_say_so_is_told_by_the_disk(
    own_home: Path, monkeypatch
):
    folder = own_home / "runs" / "one"
    written_run(folder, "one", state="running")
    dead = Worker(2**22 + 1, 0.0, Worker.current().host)
    status = read_json(folder / "status.json")
    write_json(
        folder / "status.json",
        {**status, "pid": dead.pid, "born": dead.born, "host": dead.host},
    )
    assert "Was it killed" in observe_status(folder)["message"]
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(9, 9, 100))
    failed = observe_status(folder)
    assert failed["error"] is not None and failed["error"]["mend"]
    assert failed["message"].startswith("The disk is full")


def test_a_worker_that_the_system_killed_for_memory_is_named_as_that(
    own_home: Path, tmp_path, monkeypatch
):
    events = tmp_path / "vmstat"
    monkeypatch.setattr(memory, "_EVENTS", events)
    events.write_text("oom_kill 3\n")
    folder = own_home / "runs" / "one"
    written_run(folder, "one", state="running")
    dead = Worker(2**22 + 1, 0.0, Worker.current().host)
    before = {"pid": dead.pid, "born": dead.born, "host": dead.host}
    status = {**read_json(folder / "status.json"), **new_status("running"), **before}
    assert status["memory_kills"] == 3
    write_json(folder / "status.json", status)
    assert "Was it killed" in observe_status(folder)["message"]
    events.write_text("pgfault 9\noom_kill 4\n")
    failed = observe_status(folder)
    assert failed["error"] is not None and failed["error"]["mend"]
    assert failed["message"].startswith("The system killed the worker, as memory ran")
    events.unlink()  # where the system does not say, nothing is claimed
    assert "Was it killed" in observe_status(folder)["message"]


def test_a_folder_that_cannot_be_written_is_named_by_the_file(tmp_path, monkeypatch):
    """Not by the hidden file beside it, which cannot be removed either."""

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise refusal(errno.EROFS, str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    with (
        pytest.raises(StcError, match=r"out\.csv'.*Read-only"),
        replacing(tmp_path / "out.csv"),
    ):
        raise refusal(errno.EROFS, "hidden")
