"""A whole training on 1,000 and 10,000 short texts: time, memory, disk.

The rival is linear growth: so many times the seconds of the size before. Each size
has a process of its own, so that its peak is its own. One layer is read, and no
baseline is fitted, as those stop growing with their sample. bench_large.py goes on.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benches.measure import DATA, Row, peak_mb, show, texts

Files = Callable[[int, Path], dict[str, str]]
SIZES = (1_000, 10_000)
SET, WORDS = "sst2", 10
SETTINGS: dict[str, Any] = {
    "device": "cpu",
    "kinds": ("resid",),
    "poolings": ("mean",),
    "max_layer": 1,
    "max_length": 12,
}


def table(n: int) -> pd.DataFrame:
    """`n` distinct labelled texts: real ones, shortened, with some words exchanged."""
    folder = Path(os.environ.get("STC_BENCH_DATA", DATA)) / SET
    real = pd.read_csv(folder / "train.csv", keep_default_na=False)
    words = [text.split()[:WORDS] for text in real["text"]]
    rng = np.random.default_rng(0)
    rows = np.arange(n) % len(words)
    others = rng.integers(len(words), size=n)
    made = []
    for i, (row, other) in enumerate(zip(rows, others, strict=True)):
        text = list(words[row])
        text[i % len(text)] = words[other][-1]
        made.append(f"{' '.join(text)} {i}")
    return pd.DataFrame({"text": made, "label": real["label"].to_numpy()[rows]})


def short_texts(n: int, home: Path) -> dict[str, str]:
    path = home / "texts.csv"
    table(n).to_csv(path, index=False)
    return {"path": str(path)}


def trained(make: Files, n: int, settings: dict[str, Any], baselines: bool) -> Row:
    """What a training on `n` texts took; runs in a fresh process."""
    from stc_core.config import DataConfig, RunConfig, TrainConfig
    from stc_core.recipes import comparisons, registry
    from stc_core.runs.writer import RunWriter

    if not baselines:
        comparisons.baselines_of = lambda *_, **__: {}
    with tempfile.TemporaryDirectory() as name:
        os.environ["STC_HOME"] = name
        paths = make(n, Path(name))
        config = RunConfig(
            data=DataConfig.model_validate(
                paths | {"text": "text", "labels": ("label",)}
            ),
            train=TrainConfig.model_validate(settings),
        )
        took: dict[str, float] = {}

        def work() -> None:
            with RunWriter(Path(name) / "run", config) as writer:
                metrics = registry.train(config, writer).metrics
            took.update(metrics["seconds"], accuracy=metrics["test"]["accuracy"])

        peak = peak_mb(work)
        files = [file for file in Path(name).rglob("*") if file.is_file()]
        files = [file for file in files if str(file) not in paths.values()]
        disk = sum(file.stat().st_blocks * 512 for file in files)
        cpu = time.process_time()
    return {"peak_mb": peak, "disk_mb": disk // 1_000_000, "cpu_s": cpu, **took}


def alone(
    make: Files, n: int, settings: dict[str, Any], *, baselines: bool = False
) -> Row:
    """The same, in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(trained, make, n, settings, baselines).result()


def in_full(row: Row, found: Row, n: int) -> Row:
    """`row` with what is told of every training, rounded."""
    row |= {"peak_mb": found["peak_mb"], "disk_mb": found["disk_mb"]}
    row |= {name: found[name] for name in ("extract", "head", "cpu_s", "accuracy")}
    row["texts_per_s"] = n / found["total"]
    return {
        key: round(value, 4 if key == "accuracy" else 2)
        if isinstance(value, float)
        else value
        for key, value in row.items()
    }


def growing(bench: str, sizes: Iterable[int]) -> Iterator[Row]:
    """A row for each size, and what linear growth from the one before would be."""
    texts(SET, "train", 1)  # ends here without data
    before: tuple[int, float] | None = None
    for n in sizes:
        found = alone(short_texts, n, SETTINGS)
        seconds = found["total"]
        row: Row = {"bench": bench, "case": f"{n:,} texts", "ours_s": seconds}
        if before is not None:
            fewer, linear = before[0], before[1] * n / before[0]
            row |= {"rival": f"{n // fewer} x {fewer:,} texts", "rival_s": linear}
            row["ratio"] = linear / seconds
        yield in_full(row, found, n)
        before = n, seconds


def bench() -> Iterator[Row]:
    return growing("scale", SIZES)


if __name__ == "__main__":
    show(bench, __doc__ or "")
