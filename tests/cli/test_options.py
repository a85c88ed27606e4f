"""Options are made from the settings: each shows the default that holds without it."""

import pytest
from typer.main import get_command

from stc_core.cli.app import app
from stc_core.cli.options import SettingOptions
from stc_core.config import SETTING_PARTS, DataConfig, RunConfig, TrainConfig
from stc_core.setting import option_of

TRAIN = get_command(app).commands["train"]  # pyright: ignore
OPTIONS = {name: option for option in TRAIN.params for name in option.opts}
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
    if (model.__name__, name) == ("AttentionConfig", "epochs"):
        assert "8" in option.help  # one option for both recipes
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
