"""Options are made from the settings: each shows the default that holds without it."""

import json
import re
from pathlib import Path

import pytest
from typer.main import get_command

from helpers.command import Stc
from helpers.runs.fake_recipe import stand_in
from stc_core.cli.app import app
from stc_core.cli.options import SettingOptions
from stc_core.config import SETTING_PARTS, DataConfig, RunConfig, TrainConfig
from stc_core.runs.run import Run
from stc_core.setting import option_of

TRAIN = get_command(app).commands["train"]  # pyright: ignore
OPTIONS = {name: option for option in TRAIN.params for name in option.opts}
SHARED = (
    ("AttentionConfig", "epochs"),
    ("ContrastiveConfig", "epochs"),
    ("ContrastiveConfig", "batch"),
)
"""Settings whose option is that of TuneConfig, which tells their default."""
SETTINGS = [
    (model, name)
    for model in (DataConfig, TrainConfig, *SETTING_PARTS.values())
    for name in model.model_fields
    if name not in (*SETTING_PARTS, "path")
]


@pytest.mark.parametrize(
    ("model", "name"), SETTINGS, ids=[f"{m.__name__}.{n}" for m, n in SETTINGS]
)
def test_every_setting_has_its_option(model, name: str):
    field = model.model_fields[name]
    typed = option_of(name, field).partition("/")[0]
    option = OPTIONS[typed]
    assert option.default is None  # what is not given is left to the settings
    assert option.help and "`" not in option.help
    if (model.__name__, name) in SHARED:  # one option for several recipes
        assert re.search(rf"\b{field.default}\b", option.help)
    elif field.default in (None, "") or isinstance(field.default, tuple):
        assert not option.show_default
    elif field.default is False:
        assert not option.show_default
    else:
        shown = typed if field.default is True else str(field.default)
        assert option.show_default == shown


def test_some_settings_are_chosen_by_name():
    asked = SettingOptions(TrainConfig, only=("seed",))
    assert list(asked.fields()) == ["seed"]
    left = SettingOptions(RunConfig, without=("data", "train", "shrink"))
    assert list(left.fields()) == ["format", "name", "created", "example"]


@pytest.mark.usefixtures("own_home")
def test_options_win_over_the_settings_of_a_file(
    stc: Stc, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    stand_in(monkeypatch)
    first, second = tmp_path / "first", tmp_path / "second"
    asked = ("--text", "text", "--label", "kind", "--eta", 0.5, "--epochs", 4)
    assert stc("train", table, *asked, "--out", first, "--name", "first").code == 0
    said = stc("train", "--config", first, "--out", second, "--eta", 0.25)
    assert said.code == 0, said.err
    before, after = Run.open(first).config, Run.open(second).config
    assert after.created > before.created
    expected = before.changed(
        created=after.created, train=before.train.changed(eta=0.25)
    )
    assert after == expected and after.train.tune.epochs == 4


@pytest.mark.usefixtures("own_home")
@pytest.mark.parametrize(
    ("record", "options", "words"),
    [
        ({"train": {"etta": 1}}, (), "run.json, train.etta: expected one of recipe,"),
        (
            {"train": {}},
            ("--seed", -1),
            "Error: option --seed: expected a whole number",
        ),
        ({"train": {}}, ("--epochs", 0), "Error: option --epochs: expected"),
        ({"extra": 1}, (), "run.json, extra: expected one of format, name,"),
    ],
)
def test_what_is_wrong_in_a_file_or_an_option_is_named(
    record: dict, options: tuple, words: str, stc: Stc, table: Path, tmp_path: Path
):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(record))
    out = tmp_path / "out"
    said = stc("train", table, "--config", path, *options, "--out", out)
    assert said.code == 2 and words in said.err and not out.exists()


def test_without_a_table_or_a_file_there_is_nothing_to_train(stc: Stc):
    said = stc("train", "--seed", 1)
    assert said.code == 2
    assert said.err == (
        "Error: argument DATA: expected a table, or --config; got neither.\n"
    )
