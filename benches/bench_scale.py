"""A whole training on 1,000 and 10,000 short texts, or more: time, memory, disk.

The rival is linear growth: so many times the seconds of the size before. Each size
has a process of its own, so that its peak is its own. One layer is read, and no
baseline is fitted, as those stop growing with their sample. There is no time in `make
bench` for what STC_BENCH_TEXTS=100000,1000000 adds.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measure import DATA, Row, peak_mb, show, texts

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


def trained(n: int) -> Row:
    """What a training on `n` texts took; runs in a fresh process."""
    from stc_core import recipes
    from stc_core.config import DataConfig, RunConfig, TrainConfig
    from stc_core.writer import RunWriter

    recipes.baselines_of = lambda *_, **__: {}
    with tempfile.TemporaryDirectory() as name:
        os.environ["STC_HOME"] = name
        path = Path(name) / "texts.csv"
        table(n).to_csv(path, index=False)
        config = RunConfig(
            data=DataConfig(path=str(path), text="text", labels=("label",)),
            train=TrainConfig(**SETTINGS),
        )
        took: dict[str, float] = {}

        def work() -> None:
            with RunWriter(Path(name) / "run", config) as writer:
                took.update(recipes.train(config, writer).metrics["seconds"])

        peak = peak_mb(work)
        files = [file for file in Path(name).rglob("*") if file.is_file()]
        disk = sum(file.stat().st_blocks * 512 for file in files if file != path)
        cpu = time.process_time()
    return {"peak_mb": peak, "disk_mb": disk // 1_000_000, "cpu_s": cpu, **took}


def bench() -> Iterator[Row]:
    texts(SET, "train", 1)  # ends here without data
    before: tuple[int, float] | None = None
    more = os.environ.get("STC_BENCH_TEXTS", "").split(",")
    for n in (*SIZES, *map(int, filter(None, more))):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
            found = alone.submit(trained, n).result()
        seconds = found["total"]
        row: Row = {"bench": "scale", "case": f"{n:,} texts", "ours_s": seconds}
        if before is not None:
            fewer, linear = before[0], before[1] * n / before[0]
            row |= {"rival": f"{n // fewer} x {fewer:,} texts", "rival_s": linear}
            row["ratio"] = linear / seconds
        row |= {"peak_mb": found["peak_mb"], "disk_mb": found["disk_mb"]}
        row |= {name: found[name] for name in ("extract", "head", "cpu_s")}
        row["texts_per_s"] = n / seconds
        yield {
            key: round(value, 2) if isinstance(value, float) else value
            for key, value in row.items()
        }
        before = n, seconds


if __name__ == "__main__":
    show(bench, __doc__ or "")
