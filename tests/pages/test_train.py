"""Train: settings, the plan before the start, and what is refused."""

import io
import shutil
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from helpers.app import PLAN, fine, said, visit
from helpers.models.broken import broken, save_bert
from helpers.train_page import (
    PAGE,
    can_start,
    data,
    field,
    home,
    plain,
    press,
    started,
)
from stc_core.backbone.backbone import Backbone
from stc_core.config import DataConfig, RunConfig
from stc_core.data.uploads import find_upload, keep_upload
from stc_core.errors import MemoryShortage, StcError
from stc_core.paths import runs_folder
from stc_core.runs.processes import jobs
from stc_core.runs.writer import RunWriter
from ui.cache import plans
from ui.train import engine_fields

assert data and home and started  # fixtures
REAL_PLAN = plans.expected_plan


def test_suggested_models_say_what_they_are_and_whether_they_are_here(data):
    app = fine(visit(PAGE, data=data))
    shown = next(one.value for one in app.dataframe if "Languages" in list(one.value))
    assert shown["Model"].tolist()[0] == "all-MiniLM-L6-v2"
    assert shown["Reading"].tolist()[:2] == ["1 ×", "2 ×"]
    assert shown["On this machine"].tolist()[:2] == ["yes", "no: 133.0 MB"]
    assert "English: a first look" in said(app)


def test_without_data_the_page_leads_to_data():
    assert "No data yet" in said(fine(visit(PAGE)))


def test_without_data_the_table_of_the_run_is_at_hand(data):
    chosen = DataConfig(
        path=str(find_upload(data).path), text="text", labels=("label",)
    )
    for name, at in (("r", chosen), ("s", DataConfig(path="/elsewhere.csv"))):
        RunWriter(runs_folder() / name, RunConfig(name=name, data=at)).finish()
    new = {"_train_view": "New run"}
    app = fine(visit(PAGE, run="s", state=new))
    assert "No data yet" in said(app) and not app.button
    app = press(fine(visit(PAGE, run="r", state=new)), "Use the table of r")
    assert app.query_params["data"] == data and can_start(app)
    assert "text *text* · label *label*" in said(app)


def test_a_damaged_run_has_no_table_to_offer():
    (runs_folder() / "bad").mkdir(parents=True)
    (runs_folder() / "bad" / "config.json").write_text("{")
    app = fine(visit(PAGE, run="bad", state={"_train_view": "New run"}))
    assert "No data yet" in said(app) and not app.button


def test_the_plan_is_there_before_the_start(data, started):
    words = said(fine(visit(PAGE, data=data)))
    assert "mine" in words and "Texts: 1,234" in words
    assert "Time, about: 42 s" in words and "Memory: 2.5 GB" in words
    assert "Disk: 31.0 MB" in words and "617 are too long and will be cut" in words
    assert not started


def test_the_defaults_start_the_default_run(data, started):
    press(fine(visit(PAGE, data=data)), "Start training")
    (config,) = started
    assert config.train == type(config.train)()
    assert config.name == "label · mine"
    assert config.data.text == "text" and config.data.labels == ("label",)


def test_every_setting_reaches_the_run(data, started):
    app = fine(visit(PAGE, data=data))
    field(app, "Name").set_value(" my run ")
    field(app, "Device").select("cpu")
    field(app, "Sparsity").select("group")
    field(app, "Choose by").select("balanced_accuracy")
    field(app, "Weight of rare").select("balanced")
    field(app, "At most").set_value(50)
    field(app, "Share").set_value(0.5)
    field(app, "Longest").set_value(32)
    field(app, "Highest").set_value(4)
    field(app, "Seed").set_value(7)
    press(fine(app.run()), "Start training")
    config = started[0]
    assert config.name == "my run"
    assert config.train.model_dump(exclude_defaults=True) == {
        "device": "cpu",
        "penalty": "group",
        "criterion": "balanced_accuracy",
        "class_weight": "balanced",
        "max_neurons": 50,
        "eta": 0.5,
        "max_length": 32,
        "max_layer": 4,
        "seed": 7,
    }


def test_the_workers_reach_the_run(data, started, monkeypatch):
    given: list[object] = []
    start = jobs.start

    def told(config, **more):
        given.append(more.get("engine"))
        return start(config, **more)

    monkeypatch.setattr(jobs, "start", told)
    app = fine(visit(PAGE, data=data))
    assert not [one for one in app.number_input if one.label == "Workers"]
    app = fine(field(app, "The language model reads in").select("local").run())
    app = fine(field(app, "Workers").set_value(3).run())
    press(app, "Start training")
    assert given == [{"engine": "local", "workers": 3}] and len(started) == 1


@pytest.mark.parametrize("there", [True, False])
def test_ray_is_offered_where_it_is_installed(data, monkeypatch, there):
    monkeypatch.setattr(engine_fields, "find_spec", lambda name: there or None)
    app = fine(visit(PAGE, data=data))
    options = field(app, "The language model reads in").options
    assert ("A Ray cluster" in options) == there
    if there:
        app = fine(field(app, "The language model reads in").select("ray").run())
        assert field(app, "Address") and field(app, "GPUs of each worker")


def test_as_many_neurons_as_are_asked_for_or_at_most(data, started):
    app = fine(visit(PAGE, data=data))
    assert field(app, "Exactly").disabled
    field(app, "At most").set_value(50)
    field(fine(app.run()), "Exactly").set_value(True)
    press(fine(app.run()), "Start training")
    assert started[0].train.model_dump(exclude_defaults=True) == {"budget": 50}


def test_the_published_method_takes_no_budget(data, started):
    app = fine(visit(PAGE, data=data))
    field(app, "At most").set_value(50)
    field(app, "Method").set_value("spin")
    assert field(fine(app.run()), "At most").disabled
    press(app, "Start training")
    assert started[0].train.model_dump(exclude_defaults=True) == {"preset": "spin"}


@pytest.mark.parametrize(
    ("method", "fields", "wanted"),
    [
        ("attention", {}, {"recipe": "attention"}),
        (
            "attention",
            {"Schedule": "two-stage", "Epochs": 4, "Separate attention": True},
            {
                "recipe": "attention",
                "attention": {"schedule": "two-stage", "epochs": 4, "per_class": True},
            },
        ),
        (
            "variability",
            {"Tune by": "lora", "Blocks": 2, "Minutes": 3},
            {
                "recipe": "variability",
                "tune": {"method": "lora", "blocks": 2, "seconds": 180.0},
            },
        ),
        (
            "contrastive",
            {"Tune by": "lora", "Epochs": 4, "Texts per batch": 32, "Minutes": 3},
            {
                "recipe": "contrastive",
                "tune": {"method": "lora", "seconds": 180.0},
                "contrastive": {"epochs": 4, "batch": 32},
            },
        ),
    ],
)
def test_each_method_has_its_settings(data, started, method, fields, wanted):
    app = fine(visit(PAGE, data=data, state={"recipe": method}))
    for label, value in fields.items():
        field(app, label).set_value(value)
    press(fine(app.run()), "Start training")
    assert started[0].train.model_dump(exclude_defaults=True) == wanted


def test_the_time_of_a_tuning_is_not_made_up(data, started):
    app = fine(visit(PAGE, data=data, state={"recipe": "variability"}))
    words = said(app)
    assert "Before the tuning, about: 42 s" in words
    assert "not known before its first steps" in words
    field(app, "Minutes").set_value(2)
    assert "then the tuning: 2 min" in said(fine(app.run()))


def test_the_time_of_a_tuning_is_said_where_it_is_known(data, started, monkeypatch):
    monkeypatch.setattr(
        plans, "expected_plan", lambda config: {**PLAN, "seconds_tune": 30.0}
    )
    words = said(fine(visit(PAGE, data=data, state={"recipe": "variability"})))
    assert "Time, about: 42 s" in words and "of which the tuning at most 30 s" in words


def test_the_page_is_there_before_the_plan(data, started, monkeypatch):
    monkeypatch.setattr(plans, "expected_plan", lambda config: None)
    app = fine(visit(PAGE, data=data))
    assert "Timing the language model" in said(app) and "Texts:" not in said(app)
    monkeypatch.setattr(plans, "expected_plan", lambda config: PLAN)
    assert "Texts: 1,234" in said(fine(app.run()))


def test_a_plan_that_fails_says_why(data, started, monkeypatch):
    def plan(config: RunConfig):
        raise StcError("max_layer", expected="0 to 6", got="9")

    monkeypatch.setattr(plans, "expected_plan", plan)
    app = fine(visit(PAGE, data=data))
    assert "**Highest layer**" in plain(app.error[0].value)
    assert "0 to 6" in app.error[0].value and not can_start(app)
    assert "Check again" not in [button.label for button in app.button]


@pytest.mark.parametrize("name", ["/no/such/folder", "../x", "a b c", "a/b/c"])
def test_a_backbone_that_is_none_is_refused_before_the_start(data, started, name):
    app = fine(visit(PAGE, data=data, state={"backbone": name}))
    assert f"language model {name!r}" in plain(app.error[0].value)
    assert not can_start(app)
    assert "Highest layer" in [one.label for one in app.number_input]  # all is drawn


class Now:
    """Work that is done at once, in the place of the thread beside the page."""

    def submit(self, work: Callable[[], Any]) -> Future:
        done: Future = Future()
        try:
            done.set_result(work())
        except StcError as error:
            done.set_exception(error)
        return done


@pytest.mark.parametrize(
    ("fault", "file"),
    [
        ("config.json is a list", "config.json"),
        ("adapters beside", "adapter_config.json"),
        ("tokenizer is newer", "tokenizer.json"),
        ("no tokenizer", "knows no word"),
    ],
)
def test_a_folder_with_a_fault_is_said_before_the_start(
    fault, file, data, started, tmp_path, monkeypatch, quick_survey
):
    monkeypatch.setattr(plans, "expected_plan", REAL_PLAN)
    monkeypatch.setattr(plans, "_beside", Now)
    folder = broken(fault, tmp_path / "cached_models")
    app = fine(visit(PAGE, data=data, state={"backbone": "model"}))
    assert file in plain(app.error[0].value) and len(app.error) == 1
    assert not can_start(app)
    shutil.rmtree(folder)
    save_bert(folder)
    press(app, "Check again")
    assert not app.error and can_start(app)


@pytest.mark.parametrize(
    ("state", "label"),
    [
        ({"max_layer": 9}, "Highest layer"),
        ({"length": 9000}, "“Longest text, in tokens”"),
        ({"seed": 2**32}, "Seed"),
        ({"recipe": "attention", "schedule": "two-stage", "max_layer": 0}, "language"),
        ({"recipe": "variability", "max_layer": 9}, "Highest layer"),
    ],
)
def test_a_setting_that_is_refused_is_said_by_its_label_beside_the_start(
    state, label, data, started, tmp_path, monkeypatch, quick_survey
):
    monkeypatch.setattr(plans, "expected_plan", REAL_PLAN)
    monkeypatch.setattr(plans, "_beside", Now)
    model = str(save_bert(tmp_path / "model"))
    app = fine(visit(PAGE, data=data, state={"backbone": model, **state}))
    (error,) = app.error
    assert plain(error.value).startswith(f"**{label}")
    assert "--" not in plain(error.value) and "max_" not in plain(error.value)
    assert not can_start(app)
    offered = "Check again" in [button.label for button in app.button]
    assert offered == (label == "language")


def test_a_lack_of_memory_now_is_said_and_the_run_may_wait_for_its_turn(
    data, started, tmp_path, monkeypatch
):
    """Another run may fill the GPU while this one is asked for."""

    def full(config: RunConfig) -> None:
        raise MemoryShortage("out of memory", expected="enough device memory")

    monkeypatch.setattr(plans, "expected_plan", full)
    model = str(save_bert(tmp_path / "model"))
    app = visit(PAGE, data=data, state={"backbone": model})
    assert can_start(app)
    assert "enough device memory" in plain(app.error[0].value)


def test_a_refused_model_is_loaded_once_until_its_files_change(
    data, started, tmp_path, monkeypatch
):
    monkeypatch.setattr(plans, "expected_plan", REAL_PLAN)
    monkeypatch.setattr(plans, "_beside", Now)
    plans.forget_plans()
    loads, load = [], Backbone.load
    monkeypatch.setattr(
        Backbone,
        "load",
        lambda *given, **named: (loads.append(1), load(*given, **named))[1],
    )
    folder = broken("no tokenizer", tmp_path / "cached_models")
    app = fine(visit(PAGE, data=data, state={"backbone": "model"}))
    assert not can_start(fine(app.run())) and len(loads) == 1
    save_bert(folder)
    assert can_start(fine(app.run())) and len(loads) == 2


def test_a_backbone_of_the_hub_is_announced_and_not_asked_for(data, started):
    app = fine(visit(PAGE, data=data, state={"backbone": "nobody/tiny-model"}))
    words = said(app)
    assert "downloaded first" in words and "Texts: 1,234" not in words
    assert "Start training" in [button.label for button in app.button]


def test_data_with_errors_cannot_be_started(started):
    one_class = b"text,label\n" + b"".join(b"t%d,a\n" % i for i in range(9))
    key = keep_upload("one.csv", io.BytesIO(one_class)).key
    app = fine(visit(PAGE, data=key))
    assert app.error
    assert "Start training" not in [button.label for button in app.button]
