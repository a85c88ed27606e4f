"""Fewer layers, tuned, and attention: accuracy, time, parameters, compute saved.

    python -m benches adapt --rows 4000 --seeds 0 1 2 --out RUNS

`up_to`: the head on l* and three blocks up to there tuned; against as many top blocks,
and all. Attention on the frozen model against poolings of all layers alike, and its
schedules that tune. Each row is the mean over the seeds. Runs that are done are in
--out and are not done again.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from measure import Row, table

from stc_core import recipes
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.run import Run
from stc_core.writer import RunWriter

DATA = Path(os.environ.get("STC_BENCH_DATA", Path(__file__).parents[2] / "shared/data"))
SETS = ("sst2", "trec", "edos")
TUNED: dict[str, dict[str, Any]] = {
    "up_to": {"where": "variability"},
    "top": {"where": "top"},
    "all": {"where": "all"},
}
SCHEDULES = ("frozen", "two-stage", "multi-task")
BESIDE = ("mean", "max", "last")
FIELDS = ("accuracy", "macro_f1", "seconds", "trainable", "compute_saved", "layer")


def capped(name: str, part: str, rows: int, folder: Path) -> Path:
    """The same random rows of a file for every seed and case."""
    frame = pd.read_csv(DATA / name / f"{part}.csv", keep_default_na=False)
    path = folder / f"{name}-{part}-{rows}.csv"
    some = frame.sample(n=min(rows, len(frame)), random_state=0)
    some[["text", "label"]].to_csv(path, index=False)
    return path


def config_of(
    name: str, seed: int, recipe: dict[str, Any], asked: argparse.Namespace
) -> RunConfig:
    tune, epochs = recipe.get("tune", {}), {}
    if asked.epochs:
        epochs = {"epochs": asked.epochs}
    attention = recipe.get("attention", {})
    train = {
        "recipe": recipe["recipe"],
        "seed": seed,
        "kinds": ("resid",),
        "poolings": ("mean",),
        "tune": {**tune, **epochs},
        "attention": {**attention, **epochs},
    }
    path, test = (
        str(capped(name, part, asked.rows, asked.out)) for part in ("train", "test")
    )
    data = DataConfig(path=path, test_path=test, text="text", labels=("label",))
    return RunConfig(data=data, train=TrainConfig.model_validate(train))


def trained(folder: Path, config: RunConfig) -> dict[str, Any]:
    """The metrics of the run in `folder`; one that was cut off goes on."""
    if (folder / "status.json").is_file() and Run(folder).done:
        return Run(folder).metrics
    sys.stderr.write(f"{folder.name}\n")
    with RunWriter(folder, config) as writer:
        return recipes.train(writer.config, writer).metrics


def figures(row: dict[str, Any], metrics: dict[str, Any]) -> Row:
    kept = {
        name: row[name] for name in ("accuracy", "macro_f1", "seconds", "trainable")
    }
    return kept | {
        "compute_saved": 1 - row["flops_share"],
        "layer": metrics["layers"]["used"],
    }


def cases(name: str, seed: int, asked: argparse.Namespace) -> Iterator[tuple[str, Row]]:
    """Every case of a set with one seed; what two runs have in common once."""

    def run(case: str, recipe: dict[str, Any]) -> dict[str, Any]:
        folder = asked.out / f"{name}-{asked.rows}-{asked.epochs}-{seed}-{case}"
        return trained(folder, config_of(name, seed, recipe, asked))

    for case, tune in TUNED.items():
        metrics = run(case, {"recipe": "variability", "tune": tune})
        rows = {row["name"]: row for row in metrics["comparison"]}
        yield f"tuned {case}", figures(rows["tuned"], metrics)
        if case == "up_to":
            yield "l* not tuned", figures(rows["frozen"], metrics)
    for schedule in SCHEDULES:
        recipe = {"recipe": "attention", "attention": {"schedule": schedule}}
        metrics = run(schedule, recipe)
        rows = {row["name"]: row for row in metrics["comparison"]}
        yield f"attention, {schedule}", figures(rows["attention"], metrics)
        if schedule == "frozen":
            for pooling in BESIDE:
                yield f"all layers, {pooling}", figures(rows[pooling], metrics)


def bench(asked: argparse.Namespace) -> Iterator[Row]:
    for name in asked.sets:
        found: dict[str, list[Row]] = {}
        for seed in asked.seeds:
            for case, row in cases(name, seed, asked):
                found.setdefault(case, []).append(row)
        for case, rows in found.items():
            means = {k: statistics.mean(row[k] for row in rows) for k in FIELDS}
            low, high = (f(row["accuracy"] for row in rows) for f in (min, max))
            said = {k: round(v, 1 if k == "seconds" else 4) for k, v in means.items()}
            spread = {"low": round(low, 4), "high": round(high, 4), "seeds": len(rows)}
            yield {"bench": "adapt", "set": name, "case": case, **said, **spread}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--rows", type=int, default=4000, help="of train and of test")
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    parser.add_argument("--epochs", type=int, help="of all that is tuned; as usual")
    parser.add_argument("--out", type=Path, help="where runs are kept; nowhere if none")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as nowhere:
        asked.out = asked.out or Path(nowhere)
        asked.out.mkdir(parents=True, exist_ok=True)
        if asked.json:
            for row in bench(asked):
                print(json.dumps(row), flush=True)
        else:
            print(table(list(bench(asked))))


if __name__ == "__main__":
    main()
