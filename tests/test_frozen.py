"""A record holds no value that it may not have, and says in words what it wants."""

import json
import math
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from helpers.command import Stc
from stc_core.cli.common import _option_at
from stc_core.config import SETTING_PARTS, DataConfig, RunConfig, TrainConfig
from stc_core.errors import StcError
from stc_core.frozen import Frozen, SettingError

ROOT = Path(__file__).parents[1]
HALF = "caf\udce9"


def number(annotation: Any) -> type | None:
    """int or float where a field holds one number, or may."""
    kinds = (annotation, *get_args(annotation))
    return next((one for one in (int, float) if one in kinds), None)


def numbers(model: type[Frozen]) -> Iterator[tuple[str, Any, float]]:
    """(field, kind, a value that is just beyond one of its bounds)."""
    for name, field in model.model_fields.items():
        if (kind := number(field.annotation)) is None:
            continue
        by = 1 if kind is int else 0.001
        for note in field.metadata:
            for bound, beyond in (("ge", -by), ("gt", 0), ("le", by), ("lt", 0)):
                if (limit := getattr(note, bound, None)) is not None:
                    yield name, kind, limit + beyond
        if kind is float:
            yield from ((name, kind, odd) for odd in (math.nan, math.inf, -math.inf))


PLACES = [
    ((*part, name), value)
    for part in ((), *((one,) for one in SETTING_PARTS))
    for name, _, value in numbers(
        type(getattr(TrainConfig(), part[0])) if part else TrainConfig
    )
]


def nested(place: tuple[str, ...], value: object) -> dict[str, Any]:
    for name in reversed(place):
        value = {name: value}
    assert isinstance(value, dict)
    return value


def test_every_number_has_a_bound():
    told = {place for place, _ in PLACES}
    for part in ((), *((one,) for one in SETTING_PARTS)):
        model = type(getattr(TrainConfig(), part[0])) if part else TrainConfig
        for name, field in model.model_fields.items():
            if number(field.annotation):
                assert (*part, name) in told
    assert len(told) > 20 and len(PLACES) > 40


@pytest.mark.parametrize(("place", "value"), PLACES)
def test_a_number_beyond_a_bound_is_named_at_every_door(place, value):
    settings = TrainConfig()
    part = getattr(settings, place[0])
    doors = [
        lambda: TrainConfig(**nested(place, value)),
        lambda: TrainConfig.model_validate(nested(place, value)),
        lambda: (
            part.changed(**{place[1]: value})
            if place[1:]
            else settings.changed(**{place[0]: value})
        ),
    ]
    for door in doors:
        with pytest.raises(SettingError, match=place[-1]) as told:
            door()
        assert told.value.place[-1] == place[-1]
        assert "number" in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize(("place", "value"), PLACES)
def test_the_command_names_the_option_and_leaves_nothing(
    stc: Stc, table: Path, own_home: Path, place, value
):
    out = table.parent / "run"
    typed = _option_at(place).removeprefix("option ")
    said = stc("train", table, "--out", out, f"{typed}={value}")
    assert said.code == 2 and f"{typed}: expected" in said.err
    assert "Traceback" not in said.err and said.err.count("\n") == 1
    assert not out.exists() and not list(own_home.glob("runs/*"))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kinds": ()}, "kinds: expected some of resid, mlp; got ()."),
        ({"kinds": "mlp"}, "kinds: expected some of resid, mlp; got 'mlp'."),
        ({"poolings": ()}, "poolings: expected some of first, last, max, mean; got ()"),
        ({"poolings": ("sum",)}, "poolings: .* got 'sum'"),
        (
            {"class_weight": "x"},
            "class_weight: expected auto or none or tempered or balanced; got 'x'.",
        ),
        ({"recipe": "x"}, "recipe: expected stc or attention or variability or"),
        ({"eta": "much"}, "eta: expected a number, above 0 and 1 or less; got 'much'."),
        ({"seed": 0.5}, "seed: expected a whole number, 0 or more"),
        (
            {"tune": {"checkpointing": "?"}},
            "tune.checkpointing: expected true or false",
        ),
        ({"tune": 3}, "tune: expected an object with some of where, layer"),
        ({"tune": {"rate": 3}}, "tune.rate: expected one of where, layer, .* got rate"),
        (
            {"hierarchy": {"layers": (1, -1)}},
            "hierarchy.layers: expected whole numbers",
        ),
        ({"hierarchy": {"weights": (1, -1)}}, "hierarchy.weights: expected numbers, 0"),
        ({"hierarchy": {"weights": (0, 0)}}, "weights: expected numbers, at least one"),
        ({"backbone": HALF}, "backbone: expected whole characters"),
        ({"backbone": "x" * 99 + HALF}, "got 'x{59}…"),
    ],
)
def test_a_value_that_cannot_be_is_said_in_words(values, said):
    with pytest.raises(StcError) as told:
        TrainConfig(**values)
    pattern = re.escape(said) if ".*" not in said and "{" not in said else said
    assert re.search(pattern, str(told.value)), str(told.value)


@pytest.mark.parametrize("name", ["path", "test_path", "text", "labels", "id"])
def test_half_a_character_is_refused_before_it_is_written(name):
    values = {"path": "a.csv", name: (HALF,) if name == "labels" else HALF}
    with pytest.raises(StcError, match=f"data.{name}: expected whole characters"):
        RunConfig.model_validate({"data": values})


@pytest.mark.parametrize("text", ["", "{", "[]", '"a"', '{"data": []}', "{}"])
def test_json_that_is_no_record_is_said_in_words(text):
    with pytest.raises(SettingError, match="expected"):
        RunConfig.model_validate_json(text)


def test_what_is_asked_for_twice_counts_once():
    train = TrainConfig(kinds=("mlp", "mlp"), poolings=("max", "mean", "max"))
    assert (train.kinds, train.poolings) == (("mlp",), ("max", "mean"))


def test_numbers_of_numpy_are_numbers():
    train = TrainConfig(seed=int(np.int64(3)), eta=0.5)
    assert TrainConfig(seed=np.int64(3), eta=np.float32(0.5)) == train  # pyright: ignore


def test_a_change_keeps_all_else():
    config = RunConfig(name="a", data=DataConfig(path="x"), train=TrainConfig(seed=3))
    new = config.changed(train=config.train.changed(eta=0.5))
    assert new.train == TrainConfig(seed=3, eta=0.5) and new.data is config.data
    assert config.train.eta is None
    assert RunConfig.model_validate(json.loads(new.model_dump_json())) == new


def test_the_error_travels_between_processes():
    with pytest.raises(SettingError) as told:
        TrainConfig(seed=-1)
    again = pickle.loads(pickle.dumps(told.value))
    assert again.place == ("seed",) and str(again) == str(told.value)


def test_no_product_code_changes_a_record_unchecked():
    files = [
        path
        for part in ("stc_core", "ui", "pages")
        for path in (ROOT / part).rglob("*.py")
    ]
    assert len(files) > 100
    for path in [*files, ROOT / "app.py"]:
        text = path.read_text("utf-8")
        for way in ("model_copy(", "model_construct(", "object.__setattr__("):
            assert way not in text, f"{path.name}: {way}...) takes any value"
