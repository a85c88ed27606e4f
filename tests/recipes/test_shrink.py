"""A cheaper classifier is the one that was shown, and the one training would give."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.command import Stc
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.errors import StcError
from stc_core.metrics.paired import lead_intervals
from stc_core.paths import features_folder
from stc_core.recipes import registry
from stc_core.recipes.leads import LEADS
from stc_core.recipes.shrink_settings import shrink_config
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter

TABLES = ("neurons", "predictions", "curves", "probes")
LIMITS = {"max_layer": 1, "max_neurons": 16, "tolerance": 0.05}


def done(config: RunConfig, folder: Path) -> Run:
    with RunWriter(folder, config) as writer:
        return registry.train(config, writer)


def small(messages: Path, **train) -> RunConfig:
    cheap = {"device": "cpu", "kinds": ("resid",), "poolings": ("mean",)}
    return RunConfig(
        data=DataConfig(path=str(messages), text="text", labels=("sentiment",)),
        train=TrainConfig(**{**cheap, "max_layer": 2, **train}),
    )


@pytest.fixture(scope="module")
def parent(messages: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return done(small(messages), tmp_path_factory.mktemp("parent") / "run")


@pytest.fixture(scope="module")
def shown(run_folder: Path) -> pd.Series:
    """An option that is not the run's own, of a middling depth."""
    frame = Run.open(run_folder).frontier
    return frame.loc[(frame["layer"] == 3) & ~frame["chosen"]].iloc[-1]


@pytest.fixture(scope="module")
def made(run_folder: Path, shown, tmp_path_factory: pytest.TempPathFactory) -> Run:
    place = int(shown["layer"]), int(shown["neurons"])
    config = shrink_config(Run.open(run_folder), option=place)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stc_core.recipes.shrink.extract_groups", None)  # never called
        return done(config, tmp_path_factory.mktemp("made") / "run")


def test_the_costs_rise_with_the_depth(run_folder):
    frame = Run.open(run_folder).frontier.sort_values("deepest")
    for cost in ("parameters", "flops_per_token", "parameters_share", "flops_share"):
        steps = np.diff(frame[cost].to_numpy(float))
        np.testing.assert_array_equal(steps > 0, np.diff(frame["deepest"]) > 0)
    times = frame["ms_per_text"].to_numpy()
    assert times.min() > 0 and times[0] < times[-1]


def test_the_run_s_own_option_has_its_scores(run_folder):
    run = Run.open(run_folder)
    (own,) = run.frontier.loc[run.frontier["chosen"]].to_dict("records")
    test = run.metrics["test"]
    assert own["test_accuracy"] == pytest.approx(test["accuracy"])
    assert own["test_macro_f1"] == pytest.approx(test["macro_f1"])
    assert own["neurons"] == run.metrics["neurons"]["selected"]


def test_what_was_shown_is_made(made, shown):
    metrics = made.metrics
    assert metrics["test"]["accuracy"] == pytest.approx(shown["test_accuracy"])
    assert metrics["test"]["macro_f1"] == pytest.approx(shown["test_macro_f1"])
    near = 1.5 / metrics["validation"]["n"]  # a near tie
    right = metrics["validation"]["accuracy"]
    assert right == pytest.approx(shown["accuracy"], abs=near)
    assert metrics["neurons"]["selected"] == len(made.neurons) == shown["neurons"]
    assert metrics["layers"]["used"] == shown["deepest"] == made.neurons["layer"].max()
    assert metrics["cost"]["flops_per_token"] == shown["flops_per_token"]


def check_leads(made: Run, before: Run) -> None:
    """The baselines are the parent's; the leads over them are those of `made`."""
    codes = pd.Index(made.metrics["classes"])
    test = made.predictions[made.corpus["split"] == "test"]
    y, ours = (
        codes.get_indexer(pd.Index(test[column])) for column in ("label", "predicted")
    )
    answers = pd.read_parquet(made.folder / RunFile.BASELINES)
    for name, scores in made.metrics["baselines"].items():
        was = before.metrics["baselines"][name]
        leads = lead_intervals(y, answers[name].to_numpy(), ours, n_class=len(codes))
        for lead in LEADS:
            assert scores[lead] == pytest.approx(leads[lead])
        assert {**scores, **{lead: was.get(lead) for lead in LEADS}} == was


def test_it_is_a_run_like_any_other(made, run_folder):
    before = Run.open(run_folder)
    names = {path.name for path in run_folder.iterdir()}
    # Both are about the parent's classifier.
    names -= {RunFile.LEARNING, RunFile.STABILITY}
    assert {path.name for path in made.folder.iterdir()} == names
    assert made.metrics.keys() == before.metrics.keys() - {"stability"} | {"parent"}
    check_leads(made, before)
    assert made.metrics["parent"]["accuracy"] == before.metrics["test"]["accuracy"]
    chosen = made.curves.loc[made.curves["chosen"]].set_index("curve")
    assert chosen.loc["neurons", "neurons"] == len(made.neurons)
    same = made.frontier.drop(columns="chosen")
    pd.testing.assert_frame_equal(same, before.frontier.drop(columns="chosen"))
    text = made.corpus["text"][0]
    why = made.classifier().explain(text)
    assert {neuron["layer"] for neuron in why["neurons"]} <= {0, 1, 2, 3}
    total = why["bias"][why["label"]] + sum(
        neuron["contribution"][why["label"]] for neuron in why["neurons"]
    )
    assert total == pytest.approx(why["logits"][why["label"]], abs=1e-3)


def test_it_is_what_training_with_the_same_limits_gives(parent, messages, tmp_path):
    stores = len(list(features_folder().glob("*/journal.json")))
    one = done(shrink_config(parent, **LIMITS), tmp_path / "one")
    assert len(list(features_folder().glob("*/journal.json"))) == stores
    two = done(small(messages, **LIMITS), tmp_path / "two")
    for name in TABLES:
        first, second = getattr(one, name), getattr(two, name)
        pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert one.metrics["test"] == two.metrics["test"]
    kept, deepest = len(one.neurons), one.metrics["layers"]["used"]
    assert kept <= 16 and deepest <= 1
    assert one.name == f"{parent.name} · layer {deepest}, {kept} neurons"
    timed = ["ms_per_text"]
    pd.testing.assert_frame_equal(
        one.frontier.drop(columns=timed), two.frontier.drop(columns=timed)
    )


def test_limits_that_bind_nothing_give_the_parent_s_classifier(parent, tmp_path):
    config = shrink_config(parent, max_layer=6, max_neurons=999_999_999)
    same = done(config, tmp_path / "same")
    kept, deepest = len(parent.neurons), parent.metrics["layers"]["used"]
    assert same.name == f"{parent.name} · layer {deepest}, {kept} neurons"
    assert Run.open(same.folder).config.name == same.name
    pd.testing.assert_frame_equal(same.neurons, parent.neurons, check_exact=True)
    np.testing.assert_array_equal(same.activations, parent.activations)


def test_features_that_are_gone_are_read_again_only_if_asked(
    parent, tmp_path, monkeypatch
):
    monkeypatch.setenv("STC_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(StcError, match="Pass --extract to read the texts again"):
        done(shrink_config(parent, max_layer=1), tmp_path / "gone")
    config = shrink_config(parent, max_layer=1, extract=True)
    assert done(config, tmp_path / "again").done


def test_another_backbone_is_refused(parent, tmp_path):
    folder = shutil.copytree(parent.folder, tmp_path / "run")
    metrics = parent.metrics
    metrics["backbone"]["identity"] = "0" * 40
    (folder / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(StcError, match="got a backbone with identity"):
        done(
            shrink_config(Run.open(folder), max_layer=1),
            tmp_path / "new",
        )


def test_the_command_makes_a_run(parent, tmp_path, stc: Stc):
    asked = ("shrink", parent.folder, "--max-layer", 1, "--out", tmp_path / "new")
    told = stc(*asked)
    assert told.code == 0, told.err
    run = Run.open(tmp_path / "new")
    assert run.done and run.metrics["layers"]["used"] <= 1
    assert "this classifier" in told.out
    told = stc(*asked)
    assert told.code == 2, told.err  # it is there already
    assert "--overwrite" in told.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--max-layer", "7", "--max-neurons", "0"), "max-neurons"),
        (("--tolerance", "-1"), "option --tolerance: expected a number, 0 or more"),
        (("--tolerance", "1"), "and below 1; got 1.0."),
        (("--tolerance", "nan"), "option --tolerance"),
        (("--tolerance", "inf", "--max-layer", "1"), "option --tolerance"),
        (("--max-neurons", "-3"), "option --max-neurons"),
        (("--max-layer", "-1"), "option --max-layer"),
    ],
)
def test_an_option_that_makes_no_sense_exits_with_2(
    parent, tmp_path, stc: Stc, options, said
):
    asked = ("shrink", parent.folder, "--out", tmp_path / "new", *options)
    told = stc(*asked)
    assert told.code == 2, told.err
    assert said in told.err and "Traceback" not in told.err
    assert not (tmp_path / "new").exists()


def test_a_run_that_is_not_there_exits_with_2(tmp_path, stc: Stc):
    told = stc("shrink", tmp_path / "none")
    assert told.code == 2, told.err
    assert "no such file or folder" in told.err
