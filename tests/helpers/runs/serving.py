"""Tiny runs of every recipe, and a service of runs in a process of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from helpers.models.saved import saved_base, saved_lm
from helpers.models.sequence import saved_classifier
from helpers.runs.hierarchy import table
from helpers.runs.replies import config as replying
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.recipe_settings import (
    AttentionConfig,
    ContrastiveConfig,
    HierarchyConfig,
    TuneConfig,
)
from stc_core.recipes import registry
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter

ROOT = Path(__file__).parents[3]
TUNE = TuneConfig(epochs=1, blocks=1, learning_rate=3e-3)
KINDS = {"warm": "kind", "cold": "rude"}
"""Names of labels that the tiny tokenizer tells apart."""
RECIPES: dict[str, dict[str, Any]] = {
    "stc": {},
    "spin": {"preset": "spin"},
    "variability": {"recipe": "variability", "tune": TUNE},
    "contrastive": {
        "recipe": "contrastive",
        "contrastive": ContrastiveConfig(epochs=1, batch=16),
        "tune": TUNE,
    },
    "attention": {"recipe": "attention", "attention": AttentionConfig(epochs=2)},
    "classes": {"recipe": "hierarchy", "tune": TUNE},
    "words": {
        "recipe": "hierarchy",
        "tune": TUNE,
        "hierarchy": HierarchyConfig(layers=(1, 3), heads="words"),
    },
    "existing": {"recipe": "existing"},
    "replies": {},
}
"""By name the settings of a run; `replies` has those of test_generation."""


def trained(folder: Path, name: str) -> Run:
    """The finished run `folder / name`."""
    with RunWriter(folder / name, config_of(folder, name)) as writer:
        return registry.train(writer.config, writer)


def config_of(folder: Path, name: str) -> RunConfig:
    """The settings of the run `name`; its table and its model are in `folder`."""
    if name == "replies":
        return replying(folder)
    base = _base(folder, name)
    depth = 2 if RECIPES[name].get("recipe") == "hierarchy" else 1
    train = {
        "backbone": str(base),
        "device": "cpu",
        "kinds": ("resid",),
        "poolings": ("mean",),
        **RECIPES[name],
    }
    labels = tuple(f"level {n}" for n in range(depth))
    path = str(table(folder, depth, names=KINDS))
    data = DataConfig(path=path, text="text", labels=labels)
    return RunConfig(data=data, train=TrainConfig(**train))


def _base(folder: Path, name: str) -> Path:
    """The folder of the model that the run `name` reads."""
    if name == "words":
        return saved_lm(folder / "gpt2")
    if name == "existing":
        labels = tuple(KINDS.values())
        return saved_classifier(folder / "classifier", "bert", labels)
    return saved_base(folder / "base", "bert")


@contextmanager
def serving(*arguments: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of `stc serve` with these arguments, and its process."""
    command = [sys.executable, "-m", "stc_core", "serve", *map(str, arguments)]
    process = subprocess.Popen(
        [*command, "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )
    assert process.stderr is not None
    try:
        told = ""
        for line in process.stderr:
            told += line
            if found := re.search(r"Serving at (http://\S+)/v1/models", line):
                yield found[1], process
                return
        raise AssertionError(told)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
