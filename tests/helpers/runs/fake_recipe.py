"""A recipe of a few lines that stands in for the real one, and fails on demand."""

import os
import signal
import sys
import time
import types
from typing import Any

import pytest

import stc_core.recipes
from helpers.metrics import whole_metrics
from stc_core.config import RunConfig
from stc_core.data.corpus import read_corpus
from stc_core.errors import StcError
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter


def metrics() -> dict[str, Any]:
    names = ("majority", "tfidf", "last_layer", "best_site", "all_sites")
    return whole_metrics(
        classes=["ham", "spam"],
        test={
            "accuracy": 0.875,
            "accuracy_interval": [0.8, 0.92],
            "macro_f1": 0.86,
            "macro_f1_interval": [0.78, 0.91],
            "levels": [
                {"column": "topic", "accuracy": 0.9, "macro_f1": 0.89},
                {"column": "subtopic", "accuracy": 0.875, "macro_f1": 0.86},
            ],
        },
        seconds={"extract": 3.0, "probe": 2.0, "select": 1, "head": 1, "total": 7.0},
        baselines={name: {} for name in names},
    )


def train(config: RunConfig, writer: RunWriter) -> Run:
    writer.phase("read")
    corpus = read_corpus(config.data, seed=config.train.seed)
    writer.write_text("report.json", corpus.report.to_json())
    writer.phase("load")
    if config.train.backbone == "missing":
        raise StcError("backbone 'missing'", remedy="Choose another.")
    writer.phase("extract", total=3)
    writer.note("one note")
    for done in range(4):
        writer.progress(done, 3)
    if config.name == "late":
        raise StcError("the disk is full")
    if config.name == "bug":
        _ = {}["a bug"]
    if config.name == "interrupt":
        # A shell makes those that it starts in the background deaf to it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    if config.name == "terminate":
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    writer.write_metrics(metrics())
    return writer.finish()


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the recipe of this file do every training until the end of the test."""
    recipes = types.ModuleType("stc_core.recipes.registry")
    vars(recipes)["train"] = train
    monkeypatch.setitem(sys.modules, "stc_core.recipes.registry", recipes)
    monkeypatch.setattr(stc_core.recipes, "registry", recipes, raising=False)
