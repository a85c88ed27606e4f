"""The run directory: what a writer leaves is what a reader finds, at any moment."""

import json
import math
import os
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.metrics import whole_metrics
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.errors import StcError
from stc_core.files import read_json
from stc_core.runs.processes.worker import Worker
from stc_core.runs.run import Run, list_runs
from stc_core.runs.status import PHASES, Status, mark_cancelled
from stc_core.runs.writer import RunWriter, create_run

CONFIG = RunConfig(
    name="tiny",
    data=DataConfig(path="some.csv", text="text", labels=("topic",)),
    train=TrainConfig(seed=3),
)


def raw_status(folder: Path) -> dict:
    return json.loads((folder / "status.json").read_text())


def edit_status(folder: Path, **changes: object) -> None:
    (folder / "status.json").write_text(json.dumps(raw_status(folder) | changes))


def test_settings_come_back_with_their_date(tmp_path: Path):
    RunWriter(tmp_path / "r", CONFIG)
    run = Run.open(tmp_path / "r")
    assert run.config == CONFIG.model_copy(update={"created": run.created})
    assert run.created and run.name == "tiny"


def test_a_second_writer_keeps_the_date_of_the_first(tmp_path: Path):
    config = create_run(tmp_path / "r", CONFIG)
    assert Run(tmp_path / "r").status["state"] == "queued"
    assert RunWriter(tmp_path / "r", config).config.created == config.created
    assert Run(tmp_path / "r").status["state"] == "running"


def test_phases_progress_and_end(tmp_path: Path):
    writer = RunWriter(tmp_path / "r", CONFIG)
    for phase in PHASES:
        writer.phase(phase, total=4, message=f"now {phase}")
        status = Run(tmp_path / "r").status
        assert (status["phase"], status["done"], status["total"]) == (phase, 0, 4)
        assert status["message"] == f"now {phase}"
    run = writer.finish()
    assert run.done and run.status["error"] is None
    assert set(writer.seconds) == set(PHASES)
    assert math.isclose(sum(writer.seconds.values()), writer.total_seconds, abs_tol=0.1)
    assert "probe: now probe" in run.log_tail() and "done in" in run.log_tail(1)


def test_rate_and_eta_are_of_this_phase(tmp_path: Path):
    writer = RunWriter(tmp_path / "r", CONFIG)
    time.sleep(0.05)
    writer.phase("extract", total=100)
    time.sleep(0.02)
    writer.progress(25, 100)
    rate, eta_s = writer.status["rate"], writer.status["eta_s"]
    assert rate is not None and eta_s is not None
    assert 25 / 0.07 < rate < 25 / 0.02
    assert math.isclose(eta_s, 75 / rate)
    writer.phase("probe")
    assert writer.status["rate"] is None and writer.status["eta_s"] is None


def test_progress_is_throttled_for_the_file_and_for_the_observer(tmp_path: Path):
    seen: list[Status] = []
    writer = RunWriter(tmp_path / "r", CONFIG, on_status=seen.append)
    writer.phase("extract")
    before = (tmp_path / "r" / "status.json").stat().st_mtime_ns
    for done in range(2000):
        writer.progress(done, 2000)
    assert len(seen) < 10
    assert (tmp_path / "r" / "status.json").stat().st_mtime_ns == before
    writer.finish()
    assert seen[-1]["state"] == "done"
    assert seen[0]["state"] == "running" and seen[0] is not seen[-1]


def test_files_come_back_as_written(tmp_path: Path):
    writer = RunWriter(tmp_path / "r", CONFIG)
    frame = pd.DataFrame({"x": [1.5, 2.5], "weight:a b": [0.0, 1.0]})
    for name in ("probes", "neurons", "curves", "predictions", "corpus"):
        writer.write_frame(f"{name}.parquet", frame.assign(of=name))
    np.save(writer.folder / "activations.npy", np.eye(3, dtype=np.float16))
    writer.write_metrics(whole_metrics(test={"accuracy": np.float32(0.5)}))
    run = writer.finish()
    for name in ("probes", "neurons", "curves", "predictions", "corpus"):
        pd.testing.assert_frame_equal(getattr(run, name), frame.assign(of=name))
    assert isinstance(run.activations, np.memmap)
    np.testing.assert_array_equal(run.activations, np.eye(3))
    assert run.metrics["test"]["accuracy"] == 0.5
    assert not [file for file in run.folder.iterdir() if file.name.startswith(".")]


def test_json_is_plain(tmp_path: Path):
    writer = RunWriter(tmp_path / "r", CONFIG)
    value = {"a": np.arange(2), "b": (math.nan, math.inf, 1), 3: Path("p"), "c": CONFIG}
    writer.write_json("any.json", value)
    read = read_json(tmp_path / "r" / "any.json")
    assert read["a"] == [0, 1] and read["b"] == [None, None, 1] and read["3"] == "p"
    assert read["c"]["train"]["seed"] == 3


def test_a_write_that_fails_leaves_the_older_file(tmp_path: Path):
    writer = RunWriter(tmp_path / "r", CONFIG)
    writer.write_json("any.json", {"old": 1})
    with pytest.raises(TypeError):
        writer.write_json("any.json", {"new": object()})
    assert read_json(tmp_path / "r" / "any.json") == {"old": 1}
    assert not [f for f in (tmp_path / "r").iterdir() if f.name.startswith(".")]


def test_a_reader_never_sees_half_a_status(tmp_path: Path):
    writer = RunWriter(tmp_path / "r", CONFIG)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            writer.note("x" * 5000)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        states = [Run(tmp_path / "r").status["state"] for _ in range(200)]
    finally:
        stop.set()
        thread.join()
    assert set(states) == {"running"}


def test_what_the_user_can_mend_is_told_from_our_bugs(tmp_path: Path):
    with pytest.raises(StcError), RunWriter(tmp_path / "a", CONFIG):
        raise StcError("column 'x'", remedy="Pass --text.")
    status = Run(tmp_path / "a").status
    assert status["state"] == "failed" and status["error"] is not None
    assert status["error"]["mend"] and status["error"]["traceback"] == ""
    assert status["error"]["message"] == "column 'x'. Pass --text."

    with pytest.raises(ZeroDivisionError), RunWriter(tmp_path / "b", CONFIG):
        _ = 1 / 0
    error = Run(tmp_path / "b").status["error"]
    assert error is not None and not error["mend"]
    assert "ZeroDivisionError" in error["message"]
    assert "Traceback" in error["traceback"]
    assert "Traceback" in Run(tmp_path / "b").log_tail()


def test_an_interrupted_run_is_cancelled(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt), RunWriter(tmp_path / "r", CONFIG):
        raise KeyboardInterrupt
    status = Run(tmp_path / "r").status
    assert status["state"] == "cancelled" and status["error"] is None


@pytest.mark.parametrize(
    ("phase", "kept"), [("read", False), ("load", False), ("extract", True)]
)
def test_only_a_run_whose_work_began_is_kept(tmp_path: Path, phase, kept: bool):
    writer = RunWriter(tmp_path / "r", CONFIG)
    writer.phase(phase)
    writer.fail(StcError("nothing to read"))
    assert writer.discard_if_unbegun() is not kept
    assert (tmp_path / "r").exists() is kept


def test_a_dead_worker_is_a_failed_run(tmp_path: Path):
    writer = RunWriter(tmp_path / "r", CONFIG)
    writer.note("the last thing that it said")
    run = Run(tmp_path / "r")
    assert run.status["state"] == "running"
    born = Worker.current().born
    edit_status(run.folder, born=born - 100)  # the pid now belongs to another process
    status = run.status
    assert status["state"] == "failed" and status["error"] is not None
    assert "ended without" in status["message"] and status["phase"] == "read"
    assert "the last thing that it said" in status["error"]["traceback"]
    assert raw_status(run.folder)["state"] == "running"  # reading changes nothing


def test_a_worker_elsewhere_lives_by_its_heartbeat(tmp_path: Path):
    RunWriter(tmp_path / "r", CONFIG)
    run = Run(tmp_path / "r")
    edit_status(run.folder, host="another", pid=1)
    assert run.status["state"] == "running"
    edit_status(run.folder, heartbeat=time.time() - 3600)
    assert run.status["state"] == "failed"


def test_a_queued_run_that_nobody_takes_fails(tmp_path: Path):
    create_run(tmp_path / "r", CONFIG)
    assert Run(tmp_path / "r").status["state"] == "queued"
    edit_status(tmp_path / "r", heartbeat=time.time() - 3600)
    assert Run(tmp_path / "r").status["state"] == "failed"


def test_mark_cancelled_leaves_an_ended_run_alone(tmp_path: Path):
    run = RunWriter(tmp_path / "done", CONFIG).finish()
    mark_cancelled(run.folder)
    assert run.done
    create_run(tmp_path / "queued", CONFIG)
    mark_cancelled(tmp_path / "queued")
    assert Run(tmp_path / "queued").status["state"] == "cancelled"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing", "a run, or the file of a bundle; got no such file"),
        ("folder", r"config\.json"),
        ("file", "a run packed by stc export"),
    ],
)
def test_what_is_not_a_run_is_said(tmp_path: Path, name: str, said: str):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(StcError, match=said):
        Run.open(tmp_path / name)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"state": "odd"}', "\0\xff"])
def test_a_damaged_status_is_a_state(tmp_path: Path, text: str):
    RunWriter(tmp_path / "r", CONFIG)
    (tmp_path / "r" / "status.json").write_text(text)
    status = Run.open(tmp_path / "r").status
    assert status["state"] == "failed" and status["error"] is not None
    assert "status.json" in status["message"]
    (tmp_path / "r" / "status.json").unlink()
    assert Run(tmp_path / "r").status["state"] == "failed"


@pytest.mark.parametrize("text", ["", "{", '{"data": {"path": 3}}', "\udcff"])
def test_damaged_settings_are_a_state(tmp_path: Path, text: str):
    folder = tmp_path / "r"
    RunWriter(folder, CONFIG)
    (folder / "config.json").write_text(text, errors="surrogateescape")
    with pytest.raises(StcError, match=r"config\.json"):
        Run.open(folder)
    (run,) = list_runs(tmp_path)
    assert run.name == "r" and run.created == ""
    assert run.status["state"] == "failed"


def test_a_run_of_another_format_is_refused(tmp_path: Path):
    RunWriter(tmp_path / "r", CONFIG.model_copy(update={"format": 99}))
    with pytest.raises(StcError, match=r"format 1.*got 99"):
        Run.open(tmp_path / "r")


def test_what_is_not_yet_there_is_said(tmp_path: Path):
    with RunWriter(tmp_path / "r", CONFIG) as writer:
        run = Run(tmp_path / "r")
        assert not run.has("metrics.json")
        with pytest.raises(StcError, match=r"metrics\.json.*running.*Wait"):
            _ = run.metrics
        with pytest.raises(StcError, match="no model"):
            run.classifier()
        writer.finish()
    with pytest.raises(StcError, match=r"neurons\.parquet.*done.*again"):
        _ = run.neurons


def test_runs_are_listed_newest_first(tmp_path: Path):
    for name, created in (("a", "2024"), ("b", "2026"), ("c", "2025")):
        RunWriter(tmp_path / name, CONFIG.model_copy(update={"created": created}))
    (tmp_path / "not_a_run").mkdir()
    (tmp_path / "a_file").write_text("")
    RunWriter(tmp_path / ".aside", CONFIG)
    assert [run.folder.name for run in list_runs(tmp_path)] == ["b", "c", "a"]
    assert list_runs(tmp_path / "missing") == []


def test_runs_of_this_home_are_the_default(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    RunWriter(tmp_path / "runs" / "r", CONFIG)
    assert [run.folder.name for run in list_runs()] == ["r"]


def test_hundreds_of_runs_are_listed_fast(tmp_path: Path):
    first = RunWriter(tmp_path / "0", CONFIG).finish().folder
    for number in range(1, 300):
        (tmp_path / str(number)).mkdir()
        for name in ("config.json", "status.json"):
            os.link(first / name, tmp_path / str(number) / name)
    began = time.perf_counter()
    states = [run.status["state"] for run in list_runs(tmp_path)]
    assert states == ["done"] * 300
    assert time.perf_counter() - began < 1.0


def test_log_tail_reads_only_the_end(tmp_path: Path):
    writer = RunWriter(tmp_path / "r", CONFIG)
    assert Run(tmp_path / "r").log_tail() == ""
    (tmp_path / "r" / "log.txt").write_bytes(b"\xff" * 10**6 + b"\n")
    writer.note("last")
    assert Run(tmp_path / "r").log_tail(1).endswith("last")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StcError, match="cannot write"):
        RunWriter(tmp_path / "file" / "r", CONFIG)


def test_a_seed_that_is_refused_today_is_read_in_an_older_run(tmp_path):
    folder = RunWriter(tmp_path / "r", CONFIG).folder
    text = (folder / "config.json").read_text("utf-8")
    held = json.loads(text)
    held["train"]["seed"] = 5_000_000_000
    (folder / "config.json").write_text(json.dumps(held), encoding="utf-8")
    assert Run(folder).config.train.seed == 5_000_000_000
    with pytest.raises(StcError, match=r"seed: .* 4,294,967,295 or less"):
        CONFIG.train.changed(seed=5_000_000_000)
