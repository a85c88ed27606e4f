"""What a training is told to take, before it starts, against what it then takes.

`ours_s` is the seconds foretold, the rival the run itself: a ratio within .77 and 1.3
is within 30 %. Memory and disk likewise, and the seconds of each phase. Each run has a
process of its own, so that its peak is its own. STC_BENCH_SETS=trec,banking77 are read
whole instead of a part of trec. The recipe `variability` tunes for all of its epochs,
as it is told to; memory and disk are only told of what is before that.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd

from benches.measure import DATA, Row, peak_mb, show

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "samples" / "customer_messages.csv"
PART, N_PART = "trec", 1500


def trained(path: str, label: str, recipe: str) -> dict[str, Any]:
    """The plan and the run of one table; runs in a fresh process."""
    from stc_core.config import DataConfig, RunConfig, TrainConfig
    from stc_core.data.corpus import read_corpus
    from stc_core.recipes import registry
    from stc_core.recipes.planning.plan import plan
    from stc_core.runs.writer import RunWriter

    config = RunConfig(
        data=DataConfig(path=path, text="text", labels=(label,)),
        train=TrainConfig.model_validate(
            {"device": "cpu", "recipe": recipe, "tune": {"patience": 99}}
        ),
    )
    with tempfile.TemporaryDirectory() as name:
        os.environ["STC_HOME"] = name
        settings = config.train
        corpus = read_corpus(
            config.data,
            validation_share=settings.validation_share,
            test_share=settings.test_share,
            seed=settings.seed,
        )
        plan = plan(config, corpus)
        took: dict[str, float] = {}

        def work() -> None:
            start = time.monotonic()
            with RunWriter(Path(name) / "run", config) as writer:
                took.update(registry.train(config, writer).metrics["seconds"])
            took["wall"] = time.monotonic() - start

        peak = peak_mb(work)
        files = [file for file in Path(name).rglob("*") if file.is_file()]
        disk = sum(file.stat().st_blocks * 512 for file in files)
    return {"plan": plan, "took": took, "peak_mb": peak, "disk_mb": disk / 1e6}


def tables(folder: Path) -> Iterator[tuple[str, Path, str]]:
    """Name, file and label of each table; `folder` is for those that are made."""
    data = Path(os.environ.get("STC_BENCH_DATA", DATA))
    yield "the sample", SAMPLE, "topic"
    if named := os.environ.get("STC_BENCH_SETS"):
        for name in named.split(","):
            yield name, data / name / "train.csv", "label"
    elif (whole := data / PART / "train.csv").exists():
        part = folder / f"{PART}.csv"
        pd.read_csv(whole, keep_default_na=False, nrows=N_PART).to_csv(
            part, index=False
        )
        yield f"a part of {PART}", part, "label"


def bench() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        for name, path, label in tables(Path(folder)):
            yield row(name, path, label)
        yield row("the sample, tuned", SAMPLE, "topic", recipe="variability")


def row(name: str, path: Path, label: str, *, recipe: str = "stc") -> Row:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        found = alone.submit(trained, str(path), label, recipe).result()
    plan, took = found["plan"], found["took"]
    said = plan["seconds"] - plan["seconds_start"]  # the process runs already
    phases = {
        f"{phase}_s": f"{plan[f'seconds_{phase}']:.1f} : {took.get(phase, 0):.1f}"
        for phase in ("extract", "probe", "select", "head", "baselines", "tune")
        if f"seconds_{phase}" in plan
    }
    return {
        "bench": "forecast",
        "case": f"{name}, {plan['n_texts']:,} texts",
        "ours_s": round(said, 2),
        "rival": "the run",
        "rival_s": round(took["wall"], 2),
        "ratio": round(took["wall"] / said, 3),
        "planned_mb": plan["memory_bytes"] // 1_000_000,
        "peak_mb": found["peak_mb"],
        "planned_disk_mb": plan["disk_bytes"] // 1_000_000,
        "disk_mb": round(found["disk_mb"]),
        **phases,
    }


if __name__ == "__main__":
    show(bench, __doc__ or "")
