"""Settings from a config.json, with what is given beside it."""

import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.errors import StcError
from stc_core.frozen import SettingError
from stc_core.recipe_settings import TuneConfig
from stc_core.recipes.settings_file import settings_from_file
from stc_core.runs.writer import create_run


def written(folder: Path, record: Any) -> Path:
    path = folder / "run.json"
    path.write_text(record if isinstance(record, str) else json.dumps(record), "utf-8")
    return path


@pytest.fixture
def kept(tmp_path: Path) -> RunConfig:
    """The settings of a run in the folder `run`."""
    data = DataConfig(path="a.csv", text="text", labels=("topic", "subtopic"))
    train = TrainConfig(eta=0.5, tune=TuneConfig(epochs=7, method="lora"))
    return create_run(tmp_path / "run", RunConfig(name="first", data=data, train=train))


@pytest.mark.parametrize("place", ["run", "run/config.json"])
def test_a_run_is_trained_again_from_its_folder_or_its_file(
    place: str, tmp_path: Path, kept: RunConfig
):
    again = settings_from_file(tmp_path / place)
    assert kept.created and not again.created
    assert again == kept.changed(created="")


def test_what_is_given_wins_and_the_rest_stays(tmp_path: Path, kept: RunConfig):
    new = settings_from_file(
        tmp_path / "run",
        data={"path": "b.csv", "labels": ["topic"]},
        train={"eta": 0.1, "tune": {"epochs": 2}, "hierarchy": {}},
        name="second",
    )
    assert (new.name, new.data.path, new.data.labels) == ("second", "b.csv", ("topic",))
    assert new.data.text == "text"
    assert (new.train.eta, new.train.tune.epochs) == (0.1, 2)
    assert new.train.tune.method == "lora"
    assert new.train.hierarchy == kept.train.hierarchy


def test_a_missing_file_an_empty_folder_and_a_bundle_say_what_to_give(tmp_path: Path):
    bundle = tmp_path / "run.stc"
    with ZipFile(bundle, "w") as archive:
        archive.writestr("a.json", "{}")
    (tmp_path / "empty").mkdir()
    for path, words in (
        (tmp_path / "none.json", "none.json.*no such file"),
        (tmp_path / "empty", "empty: .*a folder without config.json"),
        (bundle, "run.stc.*an archive, such as a bundle"),
    ):
        with pytest.raises(StcError, match=words) as error:
            settings_from_file(path)
        assert "Give the config.json of a run" in str(error.value)


def test_a_short_file_has_the_defaults_of_today(tmp_path: Path):
    path = written(tmp_path, {"train": {"eta": 0.2}})
    config = settings_from_file(path, data={"path": "a.csv"})
    assert config == RunConfig(
        data=DataConfig(path="a.csv"), train=TrainConfig(eta=0.2)
    )
    assert config.train.criterion == "auto"


def test_a_run_made_earlier_means_the_defaults_of_then(tmp_path: Path):
    """Before there was a criterion, accuracy chose; see TrainConfig."""
    created = {"created": "2026-11-01T00:00:00+00:00"}
    record = {"data": {"path": "a.csv"}, "train": {}, **created}
    config = settings_from_file(written(tmp_path, record))
    assert (config.train.criterion, config.train.class_weight) == ("accuracy", "none")


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"data": {"path": "a"}, "trian": {}}, r"run\.json, trian: expected one of"),
        (
            {"data": {"path": "a"}, "train": {"etta": 1}},
            r"train\.etta: expected one of",
        ),
        ({"data": {"path": "a", "tekst": "b"}}, r"data\.tekst: expected one of"),
        (
            {"data": {"path": "a"}, "train": {"tune": {"epoch": 1}}},
            r"train\.tune\.epoch: expected one of",
        ),
        ({"data": {"path": "a"}, "train": {"eta": 2}}, r"train\.eta: expected .*got 2"),
        ({"data": {"path": "a"}, "train": 3}, r"run\.json, train: expected an object"),
        (
            {"data": {"path": "a"}, "train": {"tune": 3}},
            r"train\.tune: expected an object",
        ),
        ({"train": {}}, r"data\.path: expected a value"),
        (
            {"data": {"path": "a"}, "train": {"seed": 2**32}, "created": "2026"},
            r"train\.seed: expected",
        ),
        ({"data": {"path": "a"}, "format": 99}, r"format: expected 1; got 99"),
        ({"shrink": {"parent": "r"}}, r"shrink: expected the settings of a training"),
        ([1], r"expected an object with the parts data and train; got \[1\]"),
        ("{", r"run\.json: expected JSON"),
        ("[" * 100_000, r"run\.json: expected JSON; got .* too deep"),
    ],
)
def test_a_file_that_is_wrong_is_said_by_name(record: Any, words: str, tmp_path: Path):
    with pytest.raises(StcError, match=words) as error:
        settings_from_file(written(tmp_path, record), train={"tune": {}})
    assert not isinstance(error.value, SettingError)


def test_a_mark_at_the_beginning_of_the_file_is_no_part_of_it(tmp_path: Path):
    path = written(tmp_path, "\ufeff" + json.dumps({"data": {"path": "a.csv"}}))
    assert settings_from_file(path).data.path == "a.csv"


def test_a_given_value_that_is_wrong_is_the_fault_of_its_option(
    tmp_path: Path, kept: RunConfig
):
    with pytest.raises(SettingError) as error:
        settings_from_file(tmp_path / "run", train={"tune": {"epochs": -1}})
    assert error.value.place == ("train", "tune", "epochs")
    with pytest.raises(SettingError) as error:
        settings_from_file(tmp_path / "run", train={"seed": 2**32})
    assert error.value.place == ("train", "seed")
