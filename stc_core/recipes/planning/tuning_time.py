"""How long the recipe `variability` tunes, before it starts.

Forwards are timed on the machine itself (`forecast.survey`); what a step costs beside
them are constants, measured on CPUs. benches/bench_forecast.py sets it beside a run.
"""

from math import ceil

import numpy as np

from stc_core.backbone.backbone import Backbone
from stc_core.config import TuneConfig
from stc_core.recipes.planning.forecast import Survey
from stc_core.tuning.blocks import plan_tuning

FORWARD = 1.35
"""Through the blocks below the head, texts padded: in forwards of an extraction."""
BACKWARD = {"full": 3.7, "lora": 4.0, "bottleneck": 1.5}
"""Through all blocks, if all of them learn, likewise. All three: least squares over 16
tunings of trec, sst2 and imdb, one to six blocks, of which epochs then took between .8
and 1.3 times as long as is said; one of them was of a bottleneck."""
STEP_SECONDS = 0.028
"""Of a step, beside its texts."""


def tuning_seconds(
    backbone: Backbone,
    surveyed: Survey,
    tune: TuneConfig,
    *,
    n: int,
    learned: tuple[int, int],
) -> float | None:
    """Seconds of all epochs, and of reading all `n` texts before and after them.

    `learned` are the training rows, and those with the validation rows. It is what is
    taken at most: patience may end it sooner. Where no layer is given the head is taken
    to sit on the last one. None on a GPU, where it has not been measured.
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
    """Of a text through all layers, on average."""
    lengths = np.array([len(ids) for ids in surveyed.tokens.ids])
    speed = surveyed.speed
    pace = np.interp(lengths, speed.lengths, speed.seconds_per_token)
    return float((lengths * pace).mean())
