"""Adapt: the curve, a start, a training as it goes, and its result."""

import json
import re
import shutil
from pathlib import Path

import pytest

from helpers.app import PLAN, at_home, charts, fine, said, visit, written_run
from stc_core.config import RunConfig
from stc_core.errors import StcError
from stc_core.runs.processes import jobs
from stc_core.runs.run import Run
from stc_core.runs.status import TICKET
from stc_core.runs.writer import RunWriter, create_run
from stc_core.tuning.history import History
from ui.cache import plans

PAGE = "pages/7_Adapt.py"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, run_folder: Path, tuned_folder: Path, monkeypatch) -> Path:
    """A home with the sparse run `r` and the tuned run `t`; no model is timed."""
    monkeypatch.setattr(plans, "expected_plan", lambda config: PLAN)
    return at_home(tmp_path, monkeypatch, r=run_folder, t=tuned_folder)


@pytest.fixture
def started(monkeypatch) -> list[RunConfig]:
    """What would have been started."""
    found: list[RunConfig] = []

    def start(config: RunConfig, folder=None) -> Path:
        found.append(config)
        return Path("r")

    monkeypatch.setattr(jobs, "start", start)
    return found


def click(app, label: str):
    return next(one for one in app.button if one.label == label).click().run()


def test_a_sparse_run_shows_its_curve_and_can_be_tuned(started):
    app = fine(visit(PAGE, run="r"))
    assert len(charts(app)) == 1
    assert "marks the best layer" in said(app)
    fine(click(app, "Start tuning"))
    (config,) = started
    assert config.train.recipe == "variability"
    assert config.train.tune.layer is None
    assert config.data.labels == ("topic",)


def test_where_the_embeddings_are_best_it_says_why_1_is_proposed(home, run_folder):
    words = said(fine(visit(PAGE, run="r")))
    at = Run.open(run_folder).folder / "variability.json"
    found = json.loads(at.read_text())
    assert ("it has no block" in words) == (found["best_layer"] == 0)
    lowest = home / "e"
    shutil.copytree(run_folder, lowest)
    (lowest / "variability.json").write_text(json.dumps(found | {"best_layer": 0}))
    assert "it has no block to tune" in said(fine(visit(PAGE, run="e")))


def test_what_it_takes_is_said_of_the_layer_that_is_proposed(
    home, monkeypatch, started
):
    asked: list[RunConfig] = []

    def plan(config: RunConfig):
        asked.append(config)
        return {**PLAN, "seconds_tune": 30.0}

    monkeypatch.setattr(plans, "expected_plan", plan)
    words = said(fine(visit(PAGE, run="r", state={"method": "lora"})))
    assert "of which the tuning at most 30 s" in words
    tune = asked[-1].train.tune
    found = json.loads((home / "r" / "variability.json").read_text())
    assert (tune.layer, tune.method) == (max(found["best_layer"], 1), "lora")
    assert asked[-1].train.recipe == "variability" and not started


def test_a_clicked_layer_is_where_it_tunes(started):
    app = fine(visit(PAGE, run="r", layer="2", state={"method": "lora", "minutes": 2}))
    assert app.selectbox(key="pick_layer").value == 2
    fine(click(app, "Start tuning"))
    tune = started[0].train.tune
    assert (tune.layer, tune.method, tune.seconds) == (2, "lora", 120)


def test_the_layer_can_be_chosen_without_a_click_on_the_curve(started):
    app = fine(visit(PAGE, run="r"))
    fine(app.selectbox(key="pick_layer").select(3).run())
    fine(click(app, "Start tuning"))
    assert started[0].train.tune.layer == 3
    fine(app.selectbox(key="where").select("top").run())
    fine(click(app, "Start tuning"))
    assert started[1].train.tune.layer is None


def test_a_tuned_run_shows_what_it_gained(started):
    app = fine(visit(PAGE, run="t"))
    assert len(charts(app)) == 2
    table = app.dataframe[0].value
    assert table["Classifier"].tolist()[0] == "This classifier"
    assert len(table) == 4
    fine(click(app, "Continue with stc on the tuned model"))
    train = started[0].train
    assert train.recipe == "stc"
    assert Path(train.backbone).name == "backbone"
    assert (Path(train.backbone) / "changes.json").is_file()


def busy(home: Path, tuned_folder: Path, *, epochs: int) -> RunWriter:
    config = Run(tuned_folder).config.model_copy(update={"name": "busy"})
    writer = RunWriter(home / "b", config)
    writer.phase("tune", total=10, message="blocks 4 to 4")
    writer.progress(4, 10)
    history = json.loads((tuned_folder / "tuning.json").read_text())
    history["epochs"] = history["epochs"][:epochs]
    writer.write_json("tuning.json", history)
    return writer


@pytest.mark.parametrize("epochs", [0, 1, 2])
def test_a_training_is_seen_as_it_goes(home, tuned_folder, epochs):
    busy(home, tuned_folder, epochs=epochs)
    app = fine(visit(PAGE, run="b"))
    assert len(charts(app)) == 1
    words = said(app)
    assert "blocks 4 to 4" in words and "Running for" in words
    assert "play_arrow" in words  # the phase that it is in
    (bar,) = app.get("progress")
    assert re.match(r"\*\*\d+ %\*\*", bar.proto.text)
    assert any(one.label == "Cancel" for one in app.button)


def test_a_waiting_run_looks_as_on_train(home, tuned_folder):
    written_run(home / "first", "first one", state="running")
    create_run(home / "b", Run(tuned_folder).config)
    (home / "b" / TICKET).touch()
    app = fine(visit(PAGE, run="b"))
    words = said(app)
    assert "Waiting, number 1 in the queue" in words
    assert "It starts when **first one** has ended." in words
    assert not app.get("progress") and "play_arrow" not in words


def test_the_words_are_seen_before_the_labels(home, tuned_folder):
    writer = busy(home, tuned_folder, epochs=0)
    words = json.loads((tuned_folder / "tuning.json").read_text())
    writer.write_json("tuning.json", {**History().record(), "words": words})
    app = fine(visit(PAGE, run="b"))
    assert len(charts(app)) == 2
    assert "words guessed right" in said(app)


def test_a_training_that_was_cut_off_can_go_on(home, tuned_folder, monkeypatch):
    busy(home, tuned_folder, epochs=1).fail(KeyboardInterrupt())
    went: list[Path] = []
    monkeypatch.setattr(jobs, "resume", lambda folder: went.append(Path(folder)))
    app = fine(visit(PAGE, run="b"))
    assert "cancelled" in said(app)
    fine(click(app, "Resume"))
    assert [folder.name for folder in went] == ["b"]


def test_a_run_without_means_says_so(home):
    written_run(home / "old", "old")
    assert "needs hidden states that are pooled" in said(fine(visit(PAGE, run="old")))


def test_without_a_run_there_is_a_way_to_one(monkeypatch, tmp_path):
    monkeypatch.setenv("STC_HOME", str(tmp_path / "empty"))
    assert "No run yet" in said(fine(visit(PAGE)))


@pytest.mark.parametrize(
    "page", ["2_Train", "3_Layers", "4_Neurons", "5_Examples", "6_Predict"]
)
def test_every_page_shows_a_tuned_run(page):
    app = fine(visit(f"pages/{page}.py", run="t"))
    assert app.title[0].value.endswith(page.partition("_")[2])
    assert next(one.value for one in app.selectbox if one.label == "Run") == "t"
    assert not app.error


def test_words_are_followed_through_a_tuned_model():
    app = visit("pages/5_Examples.py", run="t", state={"gradients": True})
    assert "From blank words (logit " in said(fine(app))


def test_what_cannot_be_tuned_is_said_before_the_start(monkeypatch, started):
    def plan(config: RunConfig):
        raise StcError(
            "bottleneck adapters in m", remedy="Choose another --learning-rate."
        )

    monkeypatch.setattr(plans, "expected_plan", plan)
    app = fine(visit(PAGE, run="r"))
    assert "bottleneck adapters in m" in app.error[0].value
    assert "“Learning rate”" in app.error[0].value
    (start,) = (one for one in app.button if one.label == "Start tuning")
    assert start.disabled
