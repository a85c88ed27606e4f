"""How long the recipe `variability` tunes, before it starts.

Forwards are timed on this machine (`forecast.survey`); the other costs of a step are
constants, measured on CPUs. benches/speed/bench_forecast.py compares it with a run.
"""

from math import ceil

import numpy as np

from stc_core.backbone.backbone import Backbone
from stc_core.config import TrainConfig
from stc_core.recipe_settings import TuneConfig
from stc_core.recipes.planning.forecast import Survey
from stc_core.tuning.blocks import plan_tuning

FORWARD = 1.35
"""A forward in training, with padded texts, in forwards of an extraction."""
BACKWARD = {"full": 3.7, "lora": 4.0, "bottleneck": 1.5}
"""A backward through all blocks if all learn, in forwards of an extraction. The three
constants are least squares over 16 tunings of trec, sst2 and imdb with one to six
blocks; their epochs took .8 to 1.3 times the forecast. One of them used a
bottleneck."""
STEP_SECONDS = 0.028
"""Fixed seconds of a step."""


def reading_seconds(
    backbone: Backbone,
    surveyed: Survey,
    settings: TrainConfig,
    *,
    n: int,
    learned: tuple[int, int],
) -> float | None:
    """Seconds of reading all `n` texts once more, where nothing is tuned."""
    return n * _forward_seconds(surveyed)


def tuning_seconds(
    backbone: Backbone,
    surveyed: Survey,
    tune: TuneConfig,
    *,
    n: int,
    learned: tuple[int, int],
) -> float | None:
    """Seconds of all epochs, and of reading all `n` texts before and after them, at
    most.

    `learned` counts the training rows, and the training and validation rows together.
    Patience may end a tuning sooner. Without a given layer the head is assumed on the
    last one. None on a GPU, where it has not been measured.
    """
    if backbone.device.type != "cpu":
        return None
    n_train, n_held = learned[0], learned[1] - learned[0]
    falling = np.arange(backbone.n_layers + 1, 0.0, -1.0)
    plan = plan_tuning(backbone, falling.tolist(), tune)
    below = plan.layer / backbone.n_layers
    learns = len(plan.tuned) / backbone.n_layers
    a_text = _forward_seconds(surveyed)
    forward = FORWARD * below * a_text
    back = (BACKWARD[tune.method] + FORWARD * tune.checkpointing) * learns * a_text
    steps = ceil(n_train / tune.batch)
    epoch = n_train * (forward + back) + n_held * forward
    epochs = tune.epochs * (epoch + steps * STEP_SECONDS)
    limit = float("inf") if tune.seconds is None else tune.seconds
    return min(epochs, limit) + n_held * forward + 2 * n * below * a_text


def _forward_seconds(surveyed: Survey) -> float:
    """Seconds of an average text through all layers."""
    lengths = np.array([len(ids) for ids in surveyed.tokens.ids])
    speed = surveyed.speed
    pace = np.interp(lengths, speed.lengths, speed.seconds_per_token)
    return float((lengths * pace).mean())
