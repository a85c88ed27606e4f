"""Which cheaper classifier is wanted: settings of a new run, or why there is none."""

import json
import shutil
from pathlib import Path

import pytest

from helpers.app import written_run
from stc_core.analysis.frontier_options import options_of
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.errors import StcError
from stc_core.recipes.shrink_settings import shrink_config
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter
from stc_core.selection.frontier import cheapest

NAN = float("nan")


@pytest.fixture(scope="module")
def parent(run_folder: Path) -> Run:
    return Run.open(run_folder)


def test_limits_are_settings_of_the_new_run(parent):
    config = shrink_config(parent, max_layer=3, max_neurons=64, tolerance=0.02)
    train = config.train
    assert (train.max_layer, train.max_neurons, train.tolerance) == (3, 64, 0.02)
    assert config.data == parent.config.data and config.created == ""
    assert config.name == "messages by topic · smaller"  # until it is known
    assert config.shrink is not None and config.shrink.layer is None
    assert config.shrink.named_from == "messages by topic"
    assert Run.open(config.shrink.parent).metrics == parent.metrics


@pytest.mark.parametrize(
    ("given", "tolerance"), [({}, 0.01), ({"tolerance": 0.1}, 0.1)]
)
def test_a_tolerance_alone_is_an_option_of_the_frontier(parent, given, tolerance):
    config = shrink_config(parent, **given)
    wanted = cheapest(options_of(parent), tolerance=tolerance)
    assert wanted is not None and config.shrink is not None
    assert (config.shrink.layer, config.shrink.neurons) == (
        wanted.layer,
        wanted.neurons,
    )
    assert config.train.tolerance == tolerance


def test_an_option_changes_no_setting(parent):
    row = parent.frontier.iloc[2]
    place = int(row["layer"]), int(row["neurons"])
    config = shrink_config(parent, option=place, name="mine")
    assert config.train == parent.config.train and config.name == "mine"
    assert shrink_config(parent, option=place).name == (
        f"messages by topic · layer {place[0]}, {place[1]:,} neurons"
    )
    assert RunConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("name", "value"),
    [("tolerance", 1.0), ("tolerance", NAN), ("max_neurons", 0), ("max_layer", -2)],
)
def test_a_limit_that_cannot_be_is_refused(parent, name, value):
    with pytest.raises(StcError, match=f"{name}: expected a"):
        shrink_config(parent, **{name: value})


def test_a_limit_below_the_budget_of_the_parent_takes_its_place(parent, tmp_path):
    folder = tmp_path / "p"
    shutil.copytree(parent.folder, folder)
    held = json.loads((folder / "config.json").read_text("utf-8"))
    held["train"]["budget"] = 100
    for most, limits, wanted in [
        (None, {"max_neurons": 50}, (50, 50)),
        (None, {"max_neurons": 500}, (100, 500)),
        (None, {"max_layer": 2}, (100, None)),
        (50, {"max_layer": 2}, (50, 50)),  # as older runs may have it
    ]:
        held["train"]["max_neurons"] = most
        (folder / "config.json").write_text(json.dumps(held), "utf-8")
        train = shrink_config(Run.open(folder), **limits).train
        assert (train.budget, train.max_neurons) == wanted


def test_an_older_run_with_a_budget_above_its_limit_can_be_changed(parent, tmp_path):
    """The limit counted: every new run from it keeps that."""
    folder = tmp_path / "p"
    shutil.copytree(parent.folder, folder)
    record = json.loads((folder / "config.json").read_text("utf-8"))
    record["train"] |= {"budget": 100, "max_neurons": 50}
    (folder / "config.json").write_text(json.dumps(record), "utf-8")
    train = Run.open(folder).config.train
    assert (train.budget, train.max_neurons) == (50, 50)
    assert train.changed(seed=3).budget == 50


def test_a_place_off_the_frontier_is_an_error(parent):
    with pytest.raises(StcError, match="layer 1 with 7 neurons"):
        shrink_config(parent, option=(1, 7))


def test_a_frontier_of_an_earlier_ranking_is_refused(parent, tmp_path):
    """Its scores are of other neurons; limits select again."""
    folder = tmp_path / "p"
    shutil.copytree(parent.folder, folder)
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    del metrics["chosen"]["folds"]
    (folder / "metrics.json").write_text(json.dumps(metrics), "utf-8")
    older = Run.open(folder)
    row = parent.frontier.iloc[2]
    with pytest.raises(StcError, match="one of an earlier version"):
        shrink_config(older)
    with pytest.raises(StcError, match="one of an earlier version"):
        shrink_config(older, option=(int(row["layer"]), int(row["neurons"])))
    assert shrink_config(older, max_neurons=50).train.max_neurons == 50


def test_a_run_of_an_earlier_version_is_refused(parent, tmp_path):
    shutil.copytree(parent.folder, tmp_path / "p")
    (tmp_path / "p" / "salience.safetensors").unlink()
    with pytest.raises(StcError, match="of an earlier version"):
        shrink_config(Run.open(tmp_path / "p"))


def finished(folder: Path, **train) -> Run:
    config = RunConfig(data=DataConfig(path="a.csv"), train=TrainConfig(**train))
    return RunWriter(folder, config).finish()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"preset": "spin"}, "preset spin"),
        ({"recipe": "variability"}, "recipe variability"),
        ({}, r"came without its texts.*Export the run again with --texts"),
    ],
)
def test_a_run_of_another_kind_is_refused(tmp_path, settings, said):
    with pytest.raises(StcError, match=said):
        shrink_config(finished(tmp_path / "run", **settings), max_layer=1)


def test_a_run_that_is_not_done_is_refused(tmp_path):
    with pytest.raises(StcError, match="got a failed run"):
        shrink_config(written_run(tmp_path / "run", "r", state="failed"))
