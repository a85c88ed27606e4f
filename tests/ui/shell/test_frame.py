"""What the pages share: words shown as they are, errors, the context in the URL."""

import time

import pytest

from helpers.app import PLAN, fine, said, visit, written_run
from stc_core.backbone.backbone import Backbone
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.errors import StcError
from stc_core.paths import runs_folder
from ui.cache import plans
from ui.shell import frame
from ui.shell.messages import escape


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("text", ["*bold*", "<b>", "$x$", "[a](b)", "# h", ":red[x]"])
def test_escape_leaves_no_mark_unescaped(text):
    shown = escape(text)
    assert shown.replace("\\", "") == text
    marks = [i for i, letter in enumerate(shown) if letter in "*<>$[]()#:_`"]
    assert all(shown[i - 1] == "\\" for i in marks)


def test_escape_keeps_one_line():
    assert escape("a\n\n1. b") == "a 1\\. b"


def test_the_url_names_a_run_from_the_first_visit():
    written_run(runs_folder() / "older", "Older")
    written_run(runs_folder() / "newer", "Newer", state="failed")
    app = fine(visit())
    assert app.query_params["run"] == "older"  # newest that is done
    assert app.selectbox(key="pick_run").value == "older"
    assert app.selectbox(key="pick_run").options == ["failed · Newer", "87.4 % · Older"]


def test_a_run_with_damaged_metrics_is_listed_beside_the_others():
    written_run(runs_folder() / "good", "Good")
    bad = written_run(runs_folder() / "bad", "Bad").folder
    (bad / "metrics.json").write_text("{")
    app = fine(visit())
    assert app.selectbox(key="pick_run").options == ["done · Bad", "87.4 % · Good"]
    words = said(app).split("\n")
    assert "412 of 32,256" in words and words.count("–") == 3


def test_the_run_picker_moves_the_url_and_forgets_the_places():
    for name in ("one", "two"):
        written_run(runs_folder() / name, name)
    app = fine(visit(run="one", layer="3", neuron="5"))
    assert app.query_params["layer"] == "3"
    app.selectbox(key="pick_run").select("two").run()
    assert app.query_params["run"] == "two"
    assert "layer" not in app.query_params and "neuron" not in app.query_params


def test_a_link_to_another_run_brings_all_it_names_even_what_was_held_before():
    for name in ("one", "two"):
        written_run(runs_folder() / name, name)
    app = fine(visit(run="one", layer="3", example="5"))
    app.query_params["run"] = "two"
    fine(app.run())
    assert app.query_params["layer"] == "3" and app.query_params["example"] == "5"


def test_runs_of_the_same_name_and_score_can_be_told_apart():
    for name in ("one", "two", "three"):
        written_run(runs_folder() / name, "mine")
    app = fine(visit(run="three"))
    for name in ("one", "two"):
        app.selectbox(key="pick_run").select(name).run()
        assert app.query_params["run"] == name
    assert len(set(app.selectbox(key="pick_run").options)) == 3


def test_an_older_title_of_a_run_moves_nothing():
    written_run(runs_folder() / "one", "one")
    app = fine(visit(run="one"))
    box = app.selectbox(key="pick_run")
    box.options.append("running · one")
    box.select("running · one").run()
    assert fine(app).query_params["run"] == "one"


def test_the_context_goes_along_to_another_page(monkeypatch):
    monkeypatch.setattr(plans, "expected_plan", lambda config: PLAN)
    written_run(runs_folder() / "one", "one")
    app = fine(visit(run="one", layer="3", data="sample"))
    app.switch_page("pages/2_Train.py").run()
    fine(app)
    assert app.query_params["layer"] == "3"
    assert app.query_params["data"] == "sample"


@pytest.mark.parametrize("name", ["gone", "../../etc", ".", "a/b"])
def test_a_run_that_is_not_here_is_said(name):
    app = fine(visit("pages/6_Predict.py", run=name))
    assert "There is no run" in app.error[0].value


@pytest.mark.parametrize(
    ("state", "words"),
    [("failed", "failed"), ("cancelled", "cancelled"), ("running", "Still training")],
)
def test_an_unfinished_run_shows_its_state(state, words):
    written_run(runs_folder() / "one", "one", state=state)
    assert words in said(fine(visit("pages/6_Predict.py", run="one")))


def test_a_run_with_damaged_settings_does_not_take_the_app_down():
    written_run(runs_folder() / "good", "good")
    (runs_folder() / "bad").mkdir()
    (runs_folder() / "bad" / "config.json").write_text("{", "utf-8")
    app = fine(visit())
    assert app.query_params["run"] == "good"


def awaited(config: RunConfig) -> dict:
    """The plan, once it is there."""
    end = time.monotonic() + 60
    while (plan := plans.expected_plan(config)) is None and time.monotonic() < end:
        time.sleep(0.05)
    assert plan is not None
    return plan


def test_a_plan_blocks_nobody_and_settings_cost_no_second_load(
    messages, monkeypatch, quick_survey
):
    loads, load = [], Backbone.load

    def slow(*arguments, **named):
        loads.append(arguments)
        time.sleep(0.5)
        return load(*arguments, **named)

    monkeypatch.setattr(Backbone, "load", slow)
    data = DataConfig(path=str(messages), text="text", labels=("topic",))

    def config(**train) -> RunConfig:
        return RunConfig(data=data, train=TrainConfig(device="cpu", **train))

    assert plans.expected_plan(config()) is None
    plan = awaited(config())
    assert plan["n_texts"] == 240 and plan["seconds"] > 0
    few = plans.expected_plan(config(max_layer=2, poolings=("mean",), seed=4, budget=9))
    assert few is not None and len(loads) == 1
    assert few is not None and few["sites"] == 3 + 2 < plan["sites"]
    assert few["seconds"] < plan["seconds"]
    assert few["memory_bytes"] <= plan["memory_bytes"]


def test_a_plan_that_failed_is_tried_again(messages, tmp_path):
    (tmp_path / "model").mkdir()
    data = DataConfig(path=str(messages), text="text", labels=("topic",))
    train = TrainConfig(backbone=str(tmp_path / "model"), device="cpu")
    for _ in range(2):
        with pytest.raises(StcError, match=r"config\.json"):
            awaited(RunConfig(data=data, train=train))


@pytest.fixture
def waits(tmp_path, monkeypatch) -> list[float]:
    """The waits so far; a wait moves a clock of its own."""
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    found: list[float] = []
    monkeypatch.setattr(frame, "sleep", found.append)
    monkeypatch.setattr(frame, "monotonic", lambda: sum(found))
    return found


def test_only_a_browser_and_only_once_is_waited_for(waits, monkeypatch):
    app = fine(visit())
    assert waits == []  # nobody looks
    monkeypatch.setattr(type(frame.st.context), "url", "http://127.0.0.1:8501/")
    del app.session_state["_styled"]
    fine(app.run())
    once = sum(waits)
    fine(app.run())
    assert sum(waits) == once
    assert 0 <= once - frame._LONGEST_S <= frame._STEP_S
