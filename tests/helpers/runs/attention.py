"""Runs of the recipe `attention` on tiny models."""

from pathlib import Path

import pytest

from helpers.models.saved import saved_base
from helpers.runs.hierarchy import table
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.recipe_settings import AttentionConfig, TuneConfig
from stc_core.recipes import registry
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter


class Killed(BaseException):
    """What a process that is killed does not catch."""


def trained(folder: Path, family: str = "bert", depth: int = 1, **settings) -> Run:
    with RunWriter(folder / "run", configured(folder, family, depth, **settings)) as w:
        return registry.train(w.config, w)


def configured(
    folder: Path, family: str = "bert", depth: int = 1, **settings
) -> RunConfig:
    folder.mkdir(parents=True, exist_ok=True)
    base = saved_base(folder / "base", family)
    train = {
        "recipe": "attention",
        "backbone": str(base),
        "device": "cpu",
        "kinds": ("resid",),
        "poolings": ("mean",),
        "attention": AttentionConfig(epochs=3),
        "tune": TuneConfig(learning_rate=2e-2),
        **settings,
    }
    source, label = str(table(folder, depth)), f"level {depth - 1}"
    data = DataConfig(path=source, text="text", labels=(label,))
    return RunConfig(data=data, train=TrainConfig(**train))


def check_explanation(run: Run, text: str) -> None:
    reader = run.classifier()
    found = reader.explain(text)
    logits = reader.logits([text])[0]
    for place, label in enumerate(reader.classes_):
        assert found["logits"][label] == pytest.approx(logits[place], abs=1e-4)
        for parts in (found["neurons"], found["tokens"]):
            total = sum(part["contribution"][label] for part in parts)
            assert found["bias"][label] + total == pytest.approx(
                logits[place], abs=1e-3
            )
        read = found["attention"]["tokens"][label]
        assert len(read) == len(found["tokens"])
        assert sum(read) == pytest.approx(1, abs=1e-5)
    assert sum(found["attention"]["layers"].values()) == pytest.approx(1, abs=1e-5)
