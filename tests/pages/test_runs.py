"""Runs: what is at work, the listing, and all that can be done with a run."""

import io
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from helpers.app import fine, said, small_csv, visit, written_run
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.data.uploads import keep_upload
from stc_core.export.example_run import open_example
from stc_core.files import write_json
from stc_core.paths import runs_folder
from stc_core.runs import trash
from stc_core.runs.annotations import read_about, tag
from stc_core.runs.processes import jobs, queue
from stc_core.runs.processes.worker import Worker
from stc_core.runs.run import Run, list_runs
from stc_core.runs.writer import RunWriter

PAGE = "pages/11_Runs.py"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    monkeypatch.delenv(queue.VARIABLE, raising=False)

    def spawn(command: str, folder: Path, **_: object) -> None:
        write_json(folder / "worker.json", Worker.current()._asdict())

    monkeypatch.setattr(queue, "spawn", spawn)
    return tmp_path


def run_called(name: str, **settings: str) -> Run:
    return written_run(runs_folder() / name, f"Run *{name}*", **settings)


def plain(app: AppTest) -> str:
    return said(app).replace("\\", "")


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click().run()
    return fine(app)


def field(app: AppTest, label: str):
    fields = [*app.text_input, *app.selectbox, *app.number_input, *app.multiselect]
    return next(one for one in fields if one.label == label)


def buttons(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def test_without_runs_the_page_leads_to_data():
    app = fine(visit(PAGE))
    assert "No run yet" in said(app)
    press(app, "Look at the example")
    assert "Example" in app.subheader[0].value


def test_every_run_has_a_row_and_the_one_in_the_address_is_open():
    for name, state in (("a", "done"), ("b", "failed"), ("c", "cancelled")):
        run_called(name, state=state)
    app = fine(visit(PAGE, run="b"))
    rows = app.dataframe[0].value
    assert rows["State"].tolist() == ["cancelled", "failed", "done"]
    assert rows["Accuracy"].tolist()[2] == pytest.approx(87.4)
    assert "Run \\*b\\*" in app.subheader[0].value
    assert "out of \\<b\\>memory" in app.error[0].value
    assert "Resume" in buttons(app) and "Now" not in said(app)


def test_search_and_order():
    for name in ("a", "b", "c"):
        run_called(name)
    tag(runs_folder() / "b", ["paper"])
    app = fine(visit(PAGE))
    field(app, "Sort by").select("name")
    assert fine(app.run()).dataframe[0].value["Name"].tolist()[0] == "Run *a*"
    field(app, "Search").set_value("PAPER done")
    assert fine(app.run()).dataframe[0].value["Name"].tolist() == ["Run *b*"]
    assert "1 of 3 runs" in said(app)
    field(app, "Search").set_value("nothing like it")
    assert "No run contains" in said(fine(app.run()))


def test_what_runs_and_what_waits_is_followed_and_can_be_cancelled():
    run_called("a", state="running")
    waits = jobs.start(RunConfig(name="waits", data=DataConfig(path="x.csv")))
    app = fine(visit(PAGE, run="a"))
    assert "Now" in said(app) and "Running for" in said(app)
    app.button(key=f"cancel_{waits.name}").click().run()
    fine(app)
    assert Run(waits).status["state"] == "cancelled"
    assert Run(runs_folder() / "a").status["state"] == "running"


def test_a_page_starts_what_waits_when_a_place_is_free():
    running = run_called("a", state="running")
    waits = jobs.start(RunConfig(data=DataConfig(path="x.csv")))
    fine(visit())
    assert queue.position(waits) == 1
    RunWriter(running.folder, running.config).finish()
    fine(visit())
    assert queue.position(waits) is None and queue.active_runs() == [waits]


def test_runs_at_a_time_is_kept(monkeypatch):
    run_called("a", state="running")
    waits = jobs.start(RunConfig(data=DataConfig(path="x.csv")))
    app = fine(visit(PAGE))
    field(app, "Runs at a time").set_value(2)
    fine(app.run())
    assert queue.places() == 2
    assert set(queue.active_runs()) == {runs_folder() / "a", waits}
    monkeypatch.setenv(queue.VARIABLE, "3")
    assert field(fine(visit(PAGE)), "Runs at a time").disabled


def test_rename_and_tags():
    run = run_called("a")
    app = fine(visit(PAGE, run="a"))
    field(app, "Name").set_value(" new <name> ")
    press(app, "Rename")
    assert run.name == "new <name>" and "new \\<name\\>" in said(app)
    field(app, "Name").set_value("  ")
    press(app, "Rename")
    assert run.name == "new <name>" and "cannot be empty" in said(app)
    field(app, "Tags").set_value(["keep"])
    fine(app.run())
    assert read_about(run.folder).tags == ("keep",)
    assert app.dataframe[0].value["Tags"].tolist() == [["keep"]]
    field(app, "Tags").set_value([])
    fine(app.run())
    assert read_about(run.folder).tags == ()


def test_delete_and_undo():
    for name in ("a", "b"):
        run_called(name)
    app = press(fine(visit(PAGE, run="a")), "Delete")
    assert [run.folder.name for run in list_runs()] == ["b"]
    assert "is in the trash" in said(app) and app.query_params["run"] == "b"
    press(app, "Undo")
    assert len(list_runs()) == 2 and app.query_params["run"] == "a"
    assert "Undo" not in buttons(app) and trash.list_trash() == []


def test_the_trash_can_be_emptied_or_give_back():
    for name in ("a", "b", "c"):
        trash.delete(run_called(name))
    app = press(fine(visit(PAGE)), "Bring back")
    assert len(list_runs()) == 1 and len(trash.list_trash()) == 2
    press(app, "Empty it now")
    assert trash.list_trash() == [] and len(list_runs()) == 1


def test_the_deleted_run_that_was_chosen_is_brought_back_also_later():
    for name in ("a", "b"):
        trash.delete(run_called(name))
    app = fine(visit(PAGE))
    box = app.selectbox(key="trashed")
    box.select(trash.list_trash()[1].key).run()
    time.sleep(0.2)
    press(app, "Bring back")
    assert [run.folder.name for run in list_runs()] == ["a"]


def test_a_run_at_work_cannot_be_deleted():
    run_called("a", state="running")
    app = fine(visit(PAGE, run="a"))
    assert "Delete" not in buttons(app) and "Watch" in buttons(app)


def test_a_run_whose_model_others_read_is_asked_about():
    run = run_called("a")
    train = TrainConfig(backbone=str(run.folder / "backbone"))
    config = RunConfig(name="reads", data=DataConfig(path="x"), train=train)
    RunWriter(runs_folder() / "reads", config).fail(KeyboardInterrupt())
    app = fine(visit(PAGE, run="a"))
    assert "Delete" not in buttons(app) and "this run tuned: **reads**" in said(app)
    press(app, "Delete anyway")
    assert not run.folder.exists()


def test_a_damaged_run_can_be_deleted():
    run = run_called("a")
    (run.folder / "config.json").write_text("{")
    app = press(fine(visit(PAGE, run="a")), "Delete")
    assert list_runs() == [] and "is in the trash" in said(app)


def test_resume_goes_on_in_the_same_folder():
    run = run_called("a", state="failed")
    app = press(fine(visit(PAGE, run="a")), "Resume")
    assert run.status["state"] == "queued" and "Starting" in said(app)


def test_duplicate_starts_the_same_with_another_seed():
    train = TrainConfig(budget=9, seed=4)
    config = RunConfig(name="a", data=DataConfig(path="/x.csv"), train=train)
    RunWriter(runs_folder() / "a", config).fail(KeyboardInterrupt())
    app = press(fine(visit(PAGE, run="a")), "Start")
    new = next(run for run in list_runs() if run.folder.name != "a")
    assert new.name == "a again" and new.config.data == config.data
    assert new.config.train == train.model_copy(update={"seed": 5})
    assert new.config.created > "2" and app.query_params["run"] == new.folder.name
    assert "Choose other settings in Train" not in buttons(app)


def test_a_duplicate_of_the_example_is_a_run_of_the_user():
    app = press(fine(visit(PAGE, run=open_example().folder.name)), "Start")
    new = next(run for run in list_runs() if run.folder.name != "example")
    assert new.name == "customer messages by topic again" and not new.is_example
    assert app.query_params["run"] == new.folder.name


def test_duplicate_leads_to_train_with_the_same_columns():
    kept = keep_upload("mine.csv", io.BytesIO(small_csv()))
    data = DataConfig(path=str(kept.path), text="text", labels=("label",), split="")
    writer = RunWriter(runs_folder() / "a", RunConfig(name="a", data=data))
    writer.fail(KeyboardInterrupt())
    app = fine(visit(PAGE, run="a"))
    press(app, "Choose other settings in Train")
    assert "Train" in app.title[0].value and app.query_params["data"] == kept.key


def test_home_is_short_and_leads_to_all_runs():
    for number in range(9):
        run_called(f"r{number}")
    words = plain(fine(visit()))
    assert "Run *r8*" not in words  # links are no words
    links = [one.proto.label for one in fine(visit()).get("page_link")]
    assert "All runs (9)" in links
    assert sum("Run" in link and "\\*" in link for link in links) == 6
