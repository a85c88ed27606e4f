"""How long a tuning is said to take: by its work, in its limit, unknown on a GPU."""

import pytest
import torch

from helpers.models.tiny import fresh_backbone, tiny_backbone
from stc_core.activations.cost import Speed
from stc_core.backbone.tokenization.tokens import Tokens
from stc_core.errors import StcError
from stc_core.recipe_settings import TuneConfig
from stc_core.recipes.planning import tuning_time
from stc_core.recipes.planning.forecast import Survey
from stc_core.recipes.planning.machine_speed import Arithmetic
from stc_core.recipes.planning.tuning_time import tuning_seconds

PACE = Arithmetic(product=1e-9, solve=(1e-9, 1e-9), cell=1e-8)


def told(n: int = 1000, *, speed: float = 1e-4, **tune) -> float:
    """Of `n` texts of ten tokens, a tenth of them held out, on a tiny backbone."""
    backbone = tiny_backbone()
    ids = backbone.tokenize(["good " * 8]).ids
    surveyed = Survey(Tokens(ids, 0), Speed((1, 50), (speed, speed), 0), PACE)
    settings = TuneConfig.model_validate({"where": "all", **tune})
    learned = (8 * n // 10, 9 * n // 10)
    found = tuning_seconds(backbone, surveyed, settings, n=n, learned=learned)
    assert found is not None
    return found


def test_it_grows_with_the_work():
    usual = told()
    assert told(2000) == pytest.approx(2 * usual, rel=0.01)
    assert told(epochs=10) == pytest.approx(2 * usual, rel=0.2)
    assert told(where="top", blocks=1) < 0.8 * usual
    assert told(where="variability", blocks=1, layer=1) < 0.6 * usual
    assert told(checkpointing=True) > 1.1 * usual
    assert told(batch=1) > 2 * usual
    assert told(method="bottleneck") < told(method="lora")


def test_it_is_forwards_and_the_steps_beside_them(monkeypatch):
    monkeypatch.setattr(tuning_time, "STEP_SECONDS", 0.0)
    assert told(speed=2e-4) == pytest.approx(2 * told())
    # 1,000 texts of ten tokens, through all blocks.
    forward = 10 * 1e-4 * tuning_time.FORWARD
    back = 10 * 1e-4 * tuning_time.BACKWARD["full"]
    epochs = 5 * (800 * (forward + back) + 100 * forward)
    assert told() == pytest.approx(epochs + 100 * forward + 2 * 1000 * 10 * 1e-4)


def test_a_limit_is_its_most():
    assert told(100_000, seconds=60) - told(100_000, seconds=30) == pytest.approx(30)
    assert told(seconds=10_000) == told()


def test_without_a_layer_the_head_is_on_the_last():
    given = told(where="variability", layer=tiny_backbone().n_layers, blocks=2)
    assert told(where="variability", blocks=2) == given
    with pytest.raises(StcError, match="layer to tune at: expected a block"):
        told(where="variability", layer=9)


def test_of_a_gpu_it_says_nothing():
    backbone = fresh_backbone()
    backbone.device = torch.device("cuda")
    surveyed = Survey(Tokens([], 0), Speed((1,), (1.0,), 0), PACE)
    found = tuning_seconds(backbone, surveyed, TuneConfig(), n=9, learned=(7, 8))
    assert found is None
