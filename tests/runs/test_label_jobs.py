"""A file labelled by a process of its own: followed, stopped, and its errors told."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.app import small_csv
from stc_core.errors import StcError
from stc_core.files import write_json
from stc_core.runs.processes import label_jobs
from stc_core.runs.processes.label_jobs import LabelOrder
from stc_core.runs.processes.worker import Worker
from stc_core.runs.run import Run
from stc_core.runs.status import BUSY, Status


class Even:
    """Labels by whether a text has an even length."""

    classes_ = np.array(["even", "odd"])

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        odd = np.array([len(text) % 2 for text in texts], float)
        return np.column_stack([1 - odd, odd])


@pytest.fixture
def order(run_folder: Path, tmp_path: Path) -> LabelOrder:
    source = tmp_path / "table.csv"
    source.write_bytes(small_csv(30))
    return LabelOrder(str(run_folder), str(source), "text", str(tmp_path / "out.csv"))


def status_of(order: LabelOrder) -> Status:
    status = label_jobs.status_of(Path(order.out))
    assert status is not None
    return status


def test_without_an_order_there_is_no_status(tmp_path):
    assert label_jobs.status_of(tmp_path / "out.csv") is None
    label_jobs.cancel_labelling(tmp_path / "out.csv")


def test_a_process_of_its_own_labels_the_file(order):
    """As the classifier of the run does; whoever asked has not waited."""
    label_jobs.start_labelling(order)
    assert not Path(order.out).exists()
    assert status_of(order)["state"] in BUSY
    end = time.monotonic() + 120
    while status_of(order)["state"] in BUSY and time.monotonic() < end:
        time.sleep(0.2)
    status = status_of(order)
    assert (status["state"], status["done"], status["total"]) == ("done", 30, 30)
    assert status["pid"] != os.getpid()
    found = pd.read_csv(order.out)
    expected = Run(order.run).classifier().predict(found["text"].tolist())
    assert found["predicted_label"].tolist() == list(expected)


def test_what_is_done_goes_on_when_it_is_asked_for_twice(order, monkeypatch):
    spawned = []
    monkeypatch.setattr(label_jobs, "spawn", lambda *asked: spawned.append(asked))
    label_jobs.start_labelling(order)
    label_jobs.start_labelling(order)
    assert spawned == [("label", order.folder)]


def test_progress_counts_rows(order, monkeypatch):
    told: list[tuple[int, int]] = []

    def watched(path: Path, value) -> None:
        if path.name == "status.json":
            told.append((value["done"], value["total"]))
        write_json(path, value)

    folder = label_jobs._write_order(order)
    monkeypatch.setattr(Run, "classifier", lambda run: Even())
    monkeypatch.setattr("stc_core.classifiers.labelling.table_chunks.SHARD_ROWS", 10)
    monkeypatch.setattr(label_jobs, "WRITE_EVERY_S", 0)
    monkeypatch.setattr(label_jobs, "write_json", watched)
    assert label_jobs.do_labelling(folder) == 30
    rows = list(dict.fromkeys(told))
    assert rows == [(0, 0), (0, 30), (10, 30), (20, 30), (30, 30)]


@pytest.mark.parametrize(
    ("error", "state", "said"),
    [
        (StcError("no such model"), "failed", "no such model."),
        (RuntimeError("a bug"), "failed", "RuntimeError: a bug"),
        (KeyboardInterrupt(), "cancelled", "Cancelled."),
    ],
)
def test_how_it_ended_is_in_its_status(order, monkeypatch, error, state, said):
    def refused(run: Run):
        raise error

    monkeypatch.setattr(Run, "classifier", refused)
    folder = label_jobs._write_order(order)
    with pytest.raises(type(error)):
        label_jobs.do_labelling(folder)
    status = status_of(order)
    assert (status["state"], status["message"]) == (state, said)
    told = status["error"]
    assert bool(told and told["traceback"]) == isinstance(error, RuntimeError)
    assert not Path(order.out).exists()


def test_a_worker_that_died_is_a_failure(order):
    folder = label_jobs._write_order(order)
    (folder / "log.txt").write_text("Killed", "utf-8")
    write_json(folder / "worker.json", Worker(os.getpid(), 1.0, _host())._asdict())
    status = status_of(order)
    assert status["state"] == "failed" and "ended without" in status["message"]
    assert status["error"] and status["error"]["traceback"] == "Killed"


def _host() -> str:
    return Worker.current().host


def test_cancelling_stops_the_process(order):
    label_jobs.start_labelling(order)
    label_jobs.cancel_labelling(Path(order.out))
    status = status_of(order)
    assert status["state"] == "cancelled"
    worker = Worker.of(status["pid"] or 0) if status["pid"] else None
    assert worker is None or worker.process() is None


def test_a_new_order_forgets_the_labels_of_the_last(order):
    Path(order.out).write_text("old", "utf-8")
    folder = label_jobs._write_order(order)
    assert not Path(order.out).exists() and folder == Path(order.out).with_suffix("")
    assert status_of(order)["state"] == "queued"


def test_a_column_that_is_not_there_is_said(order, monkeypatch):
    monkeypatch.setattr(Run, "classifier", lambda run: Even())
    folder = label_jobs._write_order(order._replace(text="tekst"))
    with pytest.raises(StcError, match="tekst"):
        label_jobs.do_labelling(folder)
    error = status_of(order)["error"]
    assert error and error["mend"] and "tekst" in error["message"]
