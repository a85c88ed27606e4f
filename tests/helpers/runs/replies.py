"""Runs of the recipe `hierarchy` that learn to reply."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from helpers.models.saved import saved_lm
from helpers.models.tiny import WORDS
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.recipe_settings import HierarchyConfig, TuneConfig


def table(folder: Path) -> Path:
    """A word of each text names its topic, and another what is replied."""
    rng = np.random.default_rng(0)
    rows = []
    for n in range(80):
        topic, word = ("good", "bad")[n % 2], ("film", "plot", "card")[n % 3]
        text = " ".join(rng.permutation([topic, word, *rng.choice(WORDS[8:], 3)]))
        long = " never" * 20 if n == 4 else ""
        rows.append((text, topic, f"{word} was", f"the {word} is {topic}{long}"))
    frame = pd.DataFrame(rows, columns=["text", "topic", "why", "answer"])
    frame.loc[6, "answer"] = ""
    frame.to_csv(folder / "replies.csv", index=False)
    return folder / "replies.csv"


def config(folder: Path, **wish: Any) -> RunConfig:
    train = {
        "recipe": "hierarchy",
        "backbone": str(saved_lm(folder / "lm", "llama")),
        "device": "cpu",
        "kinds": ("resid",),
        "poolings": ("mean",),
        "tune": TuneConfig(epochs=3, where="all", learning_rate=1e-2),
        "hierarchy": HierarchyConfig(layers=(1, 2, 3), reply_length=8),
        **wish,
    }
    data = {"labels": ("topic",), "thought": "why", "reply": "answer"}
    return RunConfig(
        data=DataConfig(path=str(table(folder)), text="text", **data),
        train=TrainConfig(**train),
    )
