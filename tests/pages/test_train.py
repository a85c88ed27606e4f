"""Train: settings, the plan before the start, progress, failure and the result."""

import io
import shutil
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from helpers.app import METRICS, PLAN, fine, said, small_csv, visit, written_run
from helpers.models.broken import broken, save_bert
from helpers.models.saved import saved_lm
from stc_core.backbone.backbone import Backbone
from stc_core.config import DataConfig, RunConfig
from stc_core.data.uploads import find_upload, keep_upload, write_choice
from stc_core.errors import MemoryShortage, StcError
from stc_core.files import write_json
from stc_core.paths import runs_folder
from stc_core.runs import jobs
from stc_core.runs.writer import RunWriter
from ui.cache import plans

PAGE = "pages/2_Train.py"
REAL_PLAN = plans.expected_plan


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    monkeypatch.setattr(plans, "expected_plan", lambda config: PLAN)
    return tmp_path


@pytest.fixture
def started(monkeypatch) -> list[RunConfig]:
    """What the page would have started; a run that works for ever stands in."""
    asked: list[RunConfig] = []

    def start(config: RunConfig) -> Path:
        asked.append(config)
        return written_run(runs_folder() / "new", "new", state="running").folder

    monkeypatch.setattr(jobs, "start", start)
    return asked


@pytest.fixture
def data() -> str:
    return keep_upload("mine.csv", io.BytesIO(small_csv())).key


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click().run()
    return fine(app)


def can_start(app: AppTest) -> bool:
    return not next(one for one in app.button if one.key == "start").disabled


def plain(words: str) -> str:
    return words.replace("\\", "")


def field(app: AppTest, label: str):
    fields = [*app.selectbox, *app.number_input, *app.text_input, *app.radio]
    fields += [*app.toggle, *app.button_group]
    return next(one for one in fields if one.label.startswith(label))


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
    field(app, "Weigh").set_value(True)
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
        "class_weight": "balanced",
        "max_neurons": 50,
        "eta": 0.5,
        "max_length": 32,
        "max_layer": 4,
        "seed": 7,
    }


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
    ],
)
def test_each_method_has_its_settings(data, started, method, fields, wanted):
    app = fine(visit(PAGE, data=data, state={"recipe": method}))
    for label, value in fields.items():
        field(app, label).set_value(value)
    press(fine(app.run()), "Start training")
    assert started[0].train.model_dump(exclude_defaults=True) == wanted


def test_levels_are_offered_where_labels_have_some(started):
    rows = "".join(f"text {i},{'ab'[i % 2]},{'ab'[i % 2]}{i % 4}\n" for i in range(60))
    levels = io.BytesIO(f"text,topic,subtopic\n{rows}".encode())
    flat_key = keep_upload("flat.csv", io.BytesIO(small_csv())).key
    flat = field(fine(visit(PAGE, data=flat_key)), "Method")
    assert flat.options == ["stc", "spin", "attention", "variability"]
    key = keep_upload("levels.csv", levels).key
    write_choice(key, DataConfig(path="", text="text", labels=("topic", "subtopic")))
    app = fine(visit(PAGE, data=key, state={"recipe": "hierarchy"}))
    assert "Probes of all layers choose" in said(app)
    press(app, "Start training")
    assert started[0].train.recipe == "hierarchy"
    assert started[0].data.labels == ("topic", "subtopic")


REPLIES = "".join(
    f"text {i},{'ab'[i % 2]},why {i},{'' if i == 3 else f'answer {i}'}\n"
    for i in range(60)
)


@pytest.fixture
def replies() -> str:
    """A table of one label, with two more columns that could be written."""
    content = f"text,label,why,answer\n{REPLIES}".encode()
    return keep_upload("replies.csv", io.BytesIO(content)).key


@pytest.fixture
def decoder(tmp_path) -> str:
    """The name of a model that can write."""
    return saved_lm(tmp_path / "cached_models" / "tiny", "llama").name


def test_a_decoder_learns_to_reply(replies, decoder, started):
    state = {"recipe": "hierarchy", "backbone": decoder}
    app = fine(visit(PAGE, data=replies, state=state))
    assert field(app, "Reply").options == ["none", "why", "answer"]
    assert field(app, "Thought").disabled
    assert "is only one level of labels" in said(app) and not can_start(app)
    field(app, "Reply").select("answer")
    app = fine(app.run())
    assert field(app, "Thought").options == ["none", "why"]
    assert "No reply in 'answer' on row 4" in plain(said(app))
    field(app, "Thought").select("why")
    app = fine(app.run())
    field(app, "Longest reply").set_value(12)
    field(app, "Weight of why").set_value(0.5)
    press(fine(app.run()), "Start training")
    data, train = started[0].data, started[0].train
    assert (data.labels, data.thought, data.reply) == (("label",), "why", "answer")
    assert train.hierarchy.model_dump(exclude_defaults=True) == {
        "weights": (1.0, 0.5, 1.0),
        "reply_length": 12,
    }


def test_a_thought_goes_with_its_reply(replies, decoder, started):
    state = {"recipe": "hierarchy", "backbone": decoder, f"reply_{replies}": "answer"}
    app = fine(visit(PAGE, data=replies, state=state))
    field(app, "Thought").select("why")
    app = fine(app.run())
    field(app, "Reply").select("why")
    press(fine(app.run()), "Start training")
    assert (started[0].data.thought, started[0].data.reply) == (None, "why")


def test_other_methods_are_told_of_no_reply(replies, decoder, started):
    state = {"recipe": "hierarchy", "backbone": decoder, f"reply_{replies}": "answer"}
    app = fine(visit(PAGE, data=replies, state=state))
    field(app, "Method").set_value("stc")
    press(fine(app.run()), "Start training")
    assert started[0].train.recipe == "stc" and started[0].data.reply is None


def test_an_encoder_cannot_be_told_to_reply(replies, tmp_path, started):
    app = fine(visit(PAGE, data=replies, state={"recipe": "hierarchy"}))
    words = said(app)
    assert "cannot write text" in words and "choose a decoder" in words
    assert "is only one level of labels" in words and not can_start(app)
    assert not [one for one in app.selectbox if one.label.startswith("Reply")]


def test_a_hub_model_may_turn_out_to_write(replies, started):
    state = {"recipe": "hierarchy", "backbone": "nobody/tiny-model"}
    app = fine(visit(PAGE, data=replies, state=state))
    assert field(app, "Reply").options == ["none", "why", "answer"]
    assert "known once it is on this machine" in said(app)


def test_a_reply_that_leaves_too_few_rows_is_refused(decoder, started):
    rows = "".join(f"text {i},{'ab'[i % 2]},{'x' * (i == 3)}\n" for i in range(60))
    key = keep_upload("bare.csv", io.BytesIO(f"text,label,answer\n{rows}".encode())).key
    state = {"recipe": "hierarchy", "backbone": decoder, f"reply_{key}": "answer"}
    app = fine(visit(PAGE, data=key, state=state))
    assert "one" in app.info[0].value and not can_start(app)


def test_the_time_of_a_tuning_is_not_made_up(data, started):
    app = fine(visit(PAGE, data=data, state={"recipe": "variability"}))
    words = said(app)
    assert "Before tuning, about: 42 s" in words
    assert "not known before its first steps" in words
    field(app, "Minutes").set_value(2)
    assert "then the tuning: 2 min" in said(fine(app.run()))


def test_the_time_of_a_tuning_is_said_where_it_is_known(data, started, monkeypatch):
    monkeypatch.setattr(
        plans, "expected_plan", lambda config: {**PLAN, "seconds_tune": 30.0}
    )
    words = said(fine(visit(PAGE, data=data, state={"recipe": "variability"})))
    assert "Time, about: 42 s" in words and "of which tuning at most 30 s" in words


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
