"""Train: what the page shows while a run works, when it has failed, and at its end."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from helpers.app import METRICS, charts, fine, said, visit, written_run
from helpers.frames import learning, probes
from helpers.train_page import PAGE, data, home, plain, press, started
from stc_core.config import DataConfig, RunConfig
from stc_core.files import write_json
from stc_core.paths import runs_folder
from stc_core.runs.layout import RunFile
from stc_core.runs.processes import jobs
from stc_core.runs.status import TICKET
from stc_core.runs.writer import create_run

assert data and home and started  # fixtures


def test_after_the_start_the_page_watches_the_new_run(data, started):
    app = press(fine(visit(PAGE, data=data)), "Start training")
    assert app.query_params["run"] == "new"
    assert "**Read the activations**" in said(app)
    assert "Cancel" in [button.label for button in app.button]


def test_progress_says_phase_count_and_time(data):
    written_run(runs_folder() / "one", "one", state="running")
    app = fine(visit(PAGE, run="one"))
    words = said(app)
    assert ":green[:material/check:] Read the table" in words
    assert "**Read the activations**" in words and "Running for" in words
    assert "Test and write the report" in words and "Tune the layers" not in words


def test_one_bar_is_of_the_whole_run_with_the_time_left():
    run = written_run(runs_folder() / "one", "one", state="running")
    assert "left" not in bar(fine(visit(PAGE, run="one")))
    expected = {"extract": 10.0, "probe": 10.0, "select": 10.0, "report": 10.0}
    write_json(run.folder / RunFile.EXPECTED, expected)
    text = bar(fine(visit(PAGE, run="one")))
    # reading and loading are over: 4 of 44.5 seconds
    assert "9 %" in text and "left" in text


def test_curves_are_there_as_soon_as_some_probes_are():
    run = written_run(runs_folder() / "one", "one", state="running")
    assert charts(fine(visit(PAGE, run="one"))) == []
    some = probes().query("layer < 2")
    some.to_parquet(run.folder / RunFile.PROBES)
    app = fine(visit(PAGE, run="one"))
    (figure,) = charts(app)
    assert {x for curve in figure["data"] for x in np.round(curve["x"])} <= {0, 1}
    assert "so far" in said(app)


def test_a_waiting_run_says_what_it_waits_for():
    written_run(runs_folder() / "first", "first one", state="running")
    waiting = runs_folder() / "second"
    create_run(waiting, RunConfig(name="second", data=DataConfig(path="a.csv")))
    (waiting / TICKET).touch()
    words = said(fine(visit(PAGE, run="second")))
    assert "Waiting, number 1 in the queue" in words
    assert "It starts when **first one** has ended." in words
    assert "play_arrow" not in words and ":gray[:material/circle: Read" in words


def bar(app: AppTest) -> str:
    (progress,) = app.get("progress")
    return progress.proto.text


def test_cancel_stops_the_run(monkeypatch):
    written_run(runs_folder() / "one", "one", state="running")
    stopped = []
    monkeypatch.setattr(jobs, "cancel", stopped.append)
    press(fine(visit(PAGE, run="one")), "Cancel")
    assert stopped == [runs_folder() / "one"]


def test_a_failed_run_says_why_with_the_user_text_escaped():
    written_run(runs_folder() / "one", "one", state="failed")
    app = fine(visit(PAGE, run="one"))
    assert "out of \\<b\\>memory" in app.error[0].value
    assert "RuntimeError" in "".join(code.value for code in app.code)


def test_a_cancelled_run_says_so_and_can_go_on(monkeypatch):
    written_run(runs_folder() / "one", "one", state="cancelled")
    app = fine(visit(PAGE, run="one"))
    assert "cancelled" in app.warning[0].value
    asked = []
    monkeypatch.setattr(jobs, "resume", asked.append)
    press(app, "Resume")
    assert asked == [runs_folder() / "one"]


def test_the_result_stands_beside_its_baselines():
    written_run(runs_folder() / "one", "one")
    app = fine(visit(PAGE, run="one"))
    words = said(app)
    assert (
        "Test accuracy: 87.4 %" in words
        and "95 %: 85.1 to 89.3 %, 1,090 texts" in words
    )
    assert "Neurons kept: 412" in words and "Layers read: 4" in words
    assert "Compute saved: 25.0 %" in words and "Training took: 27 s" in words
    table = app.dataframe[0].value
    assert list(table["Accuracy"]) == ["87.4 %", "84.2 %", "81.0 %", "22.0 %"]


def test_the_result_says_whether_more_rows_would_help():
    run = written_run(runs_folder() / "one", "one")
    assert "Would more rows help?" not in said(fine(visit(PAGE, run="one")))
    write_json(run.folder / RunFile.LEARNING, learning())
    app = fine(visit(PAGE, run="one"))
    words = said(app)
    assert "Would more rows help?" in words
    assert "The first 300 would add about 2.4 points" in words
    assert len(charts(app)) == 2


def test_a_missing_baseline_is_named_with_its_reason():
    run = written_run(runs_folder() / "one", "one")
    baselines = {"majority": METRICS["baselines"]["majority"]}
    missing = {"all_sites": "MemoryError: no *room*"}
    write_json(
        run.folder / "metrics.json",
        {**METRICS, "baselines": baselines, "missing": missing},
    )
    app = fine(visit(PAGE, run="one"))
    assert list(app.dataframe[0].value["Accuracy"]) == ["87.4 %", "22.0 %"]
    words = said(app)
    assert "All sites, dense is missing: MemoryError: no *room*" in plain(words)
    assert "\\*room" in words


@pytest.mark.parametrize("name", ["Layers", "Neurons", "Examples", "Predict"])
def test_the_result_leads_on(name):
    written_run(runs_folder() / "one", "one")
    app = fine(visit(PAGE, run="one"))
    assert name in [button.label for button in app.button]
