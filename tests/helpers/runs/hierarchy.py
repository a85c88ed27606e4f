"""Runs of the recipe `hierarchy` on tiny models."""

from pathlib import Path

import numpy as np
import pandas as pd

from helpers.models.saved import saved_base
from helpers.models.tiny import WORDS
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.recipe_settings import TuneConfig
from stc_core.recipes import registry
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter

KINDS = {"good": "warm", "bad": "cold", "great": "warm", "awful": "cold"}


def table(
    folder: Path, depth: int, names: dict[str, str] | None = None, *, rows: int = 160
) -> Path:
    """Each word names its own path; the rest of the text is noise.

    `names` are other ones for the kinds.
    """
    rng = np.random.default_rng(0)
    records = []
    for n in range(rows):
        word = list(KINDS)[n % 4]
        noise = rng.choice(WORDS[8:], rng.integers(2, 7))
        kind = KINDS[word]
        path = [
            (names or {}).get(kind, kind),
            word,
            f"{word} {n % 8 // 4}",
            f"{word} {n % 8 // 4} !",
        ]
        extra = WORDS[4 + n % 8 // 4]
        text = " ".join(rng.permutation([word, extra, *noise]))
        records.append([text, *path[:depth]])
    columns = ["text", *(f"level {n}" for n in range(depth))]
    path = folder / f"{depth}.csv"
    pd.DataFrame(records, columns=columns).to_csv(path, index=False)
    return path


def trained(folder: Path, depth: int, family: str = "bert", **settings) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    base = saved_base(folder / "base", family)
    train = {
        "recipe": "hierarchy",
        "backbone": str(base),
        "device": "cpu",
        "kinds": ("resid",),
        "poolings": ("mean",),
        "tune": TuneConfig(epochs=2, blocks=2, learning_rate=3e-3),
        **settings,
    }
    labels = tuple(f"level {n}" for n in range(depth))
    config = RunConfig(
        data=DataConfig(path=str(table(folder, depth)), text="text", labels=labels),
        train=TrainConfig(**train),
    )
    with RunWriter(folder / "run", config) as writer:
        return registry.train(config, writer)
