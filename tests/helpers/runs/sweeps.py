"""Sweeps whose runs are done at once, by a recipe that scores as a test says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.metrics import whole_metrics
from helpers.runs import fake_recipe
from stc_core.config import DataConfig, RunConfig
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter
from stc_core.sweeps.plan import Sweep, plan_sweep

Score = Callable[[RunConfig], float]
"""The held-out accuracy of a run; an error that it raises is that of the run."""


def planned(table: Path, name: str = "", **values: Any) -> Sweep:
    """The sweep of these values over a table with the columns text and kind."""
    config = RunConfig(data=DataConfig(path=str(table), text="text", labels=("kind",)))
    return plan_sweep(config, values, name=name)


def stand_in_scores(monkeypatch: pytest.MonkeyPatch, score: Score) -> list[str]:
    """Let every training score as `score` says; the list has the runs that began.

    The test accuracy is a tenth below the held-out one. Two thirds of 60 texts were in
    the cache, and all of them for other seeds than 0.
    """
    began: list[str] = []

    def train(config: RunConfig, writer: RunWriter) -> Run:
        began.append(writer.folder.name)
        writer.phase("extract")
        held = score(config)
        writer.write_metrics(
            whole_metrics(
                validation={"accuracy": held, "macro_f1": held / 2},
                test={"accuracy": held - 0.1, "macro_f1": held / 4},
                tokens={"texts": 60, "cached": 60 if config.train.seed else 40},
            )
        )
        return writer.finish()

    monkeypatch.setattr(fake_recipe, "train", train)
    fake_recipe.stand_in(monkeypatch)
    return began
