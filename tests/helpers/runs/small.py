"""Runs that are cheap to train, for the tests of recipes."""

from pathlib import Path

from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.recipes import registry
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter


def small(messages: Path, labels=("sentiment",), **train) -> RunConfig:
    """Two layers, one pooling, one kind: cheap to extract and to probe."""
    cheap = {"device": "cpu", "kinds": ("resid",), "poolings": ("mean",)}
    return RunConfig(
        data=DataConfig(path=str(messages), text="text", labels=labels, id="id"),
        train=TrainConfig(**{**cheap, "max_layer": 2, **train}),
    )


def trained(config: RunConfig, folder: Path) -> Run:
    with RunWriter(folder, config) as writer:
        return registry.train(config, writer)
