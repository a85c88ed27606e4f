"""The product of the settings, its order, its names, and what is refused."""

from pathlib import Path

import pytest

from helpers.runs.sweeps import planned
from stc_core.errors import StcError
from stc_core.frozen import SettingError
from stc_core.sweeps.plan import run_words

pytestmark = pytest.mark.usefixtures("own_home")


def test_every_combination_is_a_run_with_its_own_folder(table: Path):
    sweep = planned(table, "mine", preset=["stc", "spin"], eta=[0.1, 0.5], seed=[0, 3])
    chosen = [(c.train.preset, c.train.eta, c.train.seed) for c in sweep.runs.values()]
    assert len(chosen) == len(set(chosen)) == 8
    assert sweep.axes == ("preset", "eta", "seed")
    assert "mine-spin-eta-0.5-seed-3" in sweep.runs
    one = sweep.runs["mine-spin-eta-0.5-seed-3"]
    assert one.name == "mine: spin, eta 0.5, seed 3" and one.data.labels == ("kind",)
    assert (one.train.preset, one.train.eta, one.train.seed) == ("spin", 0.5, 3)


def test_runs_that_read_the_same_texts_are_neighbours(table: Path, tmp_path: Path):
    models = [tmp_path / "a", tmp_path / "b"]
    for model in models:
        model.mkdir()
    names = [str(model) for model in models]
    sweep = planned(table, backbone=names, preset=["stc", "spin"], seed=[0, 1])
    read = [(c.train.backbone, c.train.seed) for c in sweep.runs.values()]
    assert read == [(name, seed) for name in names for seed in (0, 1) for _ in "ab"]


def test_the_preset_counts_in_the_recipe_stc_alone(table: Path):
    sweep = planned(table, recipe=["stc", "attention"], preset=["spin", "stc"])
    chosen = [(c.train.recipe, c.train.preset) for c in sweep.runs.values()]
    assert chosen == [("stc", "spin"), ("stc", "stc"), ("attention", "spin")]
    assert set(sweep.settings.values()) == {"spin", "stc", "attention"}


def test_seeds_share_a_setting(table: Path):
    sweep = planned(table, seed=[0, 1, 2])
    assert set(sweep.settings.values()) == {"stc"} and len(sweep.runs) == 3


def test_models_in_folders_of_one_name_keep_their_paths(table: Path, tmp_path: Path):
    names = [str(tmp_path / parent / "model") for parent in ("a", "b")]
    for name in names:
        Path(name).mkdir(parents=True)
    sweep = planned(table, backbone=names)
    assert list(sweep.settings.values()) == names
    assert len(sweep.runs) == 2


def test_the_same_arguments_and_table_give_the_same_name(table: Path):
    first = planned(table, seed=[0, 1])
    assert first == planned(table, seed=[0, 1])
    assert first.name.startswith("messages-") and len(first.name) == 15
    assert planned(table, seed=[0, 2]).name != first.name
    table.write_text(table.read_text() + "\nmore,spam")
    assert planned(table, seed=[0, 1]).name != first.name


def test_the_same_model_by_two_paths_is_given_twice(table: Path, tmp_path: Path):
    (tmp_path / "model").mkdir()
    names = [str(tmp_path / "model"), str(tmp_path / "." / "model") + "/"]
    with pytest.raises(StcError, match="option --backbone: expected each value once"):
        planned(table, backbone=names)


def test_too_many_and_wrong_values_are_refused(table: Path):
    with pytest.raises(StcError, match="1,000 runs at most; got 1,002"):
        planned(table, preset=["stc", "spin"], seed=list(range(501)))
    with pytest.raises(SettingError, match=r"eta: expected a number, above 0"):
        planned(table, eta=[0.1, 2.0])
    with pytest.raises(StcError, match="a name with letters or numbers; got '///"):
        planned(table, "///", seed=[0, 1])
    with pytest.raises(StcError, match="expected a file that can be read"):
        planned(table.with_name("gone.csv"), seed=[0, 1])


def test_words_of_a_run_name_what_varies(table: Path):
    (one,) = planned(table, eta=[0.5]).runs.values()
    assert run_words(one, ("eta", "max_neurons")) == "eta 0.5, max-neurons None, seed 0"
