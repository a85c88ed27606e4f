"""The settings of an engine are checked where they enter."""

import pytest

from stc_core.engine.settings import EngineConfig
from stc_core.errors import StcError


def test_workers_with_a_gpu_compute_on_it():
    assert EngineConfig().device == "cpu"
    assert EngineConfig(engine="ray", gpus=0.5).device == "cuda"


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"engine": "spark"}, "engine"),
        ({"workers": 0}, "workers: expected a whole number, 1 or more"),
        ({"gpus": -1}, "gpus"),
    ],
)
def test_a_bad_value_is_named(settings, match):
    with pytest.raises(StcError, match=match):
        EngineConfig(**settings)
