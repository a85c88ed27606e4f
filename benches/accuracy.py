"""Test accuracy of the preset beside all baselines, several seeds a data set.

    python -m benches.accuracy sst2 trec banking77      # runs, and rewrites the table
    python -m benches.accuracy sst2 trec --dtype bfloat16     # and sets float32 beside

Every run is kept in accuracy.json, so that a set can be run alone; the table in
docs/methods/stc.md and in ACCURACY.md is made from what is there.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.recipes import registry
from stc_core.runs.writer import RunWriter

HERE = Path(__file__).parent
DATA = Path(os.environ.get("STC_BENCH_DATA", HERE.parents[1] / "shared" / "data"))
RESULTS = HERE / "results"
KEPT = RESULTS / "accuracy.json"
PAGE = HERE.parent / "docs" / "methods" / "stc.md"
MARKS = "<!-- bench:accuracy -->", "<!-- /bench:accuracy -->"
SEEDS = (0, 1, 2)
FLOAT32 = "float32"
BASELINES = ("majority", "tfidf", "last_layer", "best_site", "all_sites")


def train(name: str, preset: str, seed: int, *, dtype: str) -> dict[str, Any]:
    """The figures of one run; the training file's own dev split is not used."""
    folder = DATA / name
    config = RunConfig(
        data=DataConfig(
            path=str(folder / "train.csv"),
            test_path=str(folder / "test.csv"),
            text="text",
            labels=("label",),
        ),
        train=TrainConfig.model_validate(
            {"preset": preset, "seed": seed, "dtype": dtype}
        ),
    )
    with tempfile.TemporaryDirectory() as out:
        writer = RunWriter(Path(out) / "run", config)
        with writer:
            metrics = registry.train(writer.config, writer).metrics
    return {
        "set": name,
        "preset": preset,
        "seed": seed,
        "dtype": dtype,
        "commit": _commit(),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "n_test": metrics["test"]["n"],
        "ours": metrics["test"]["accuracy"],
        "macro_f1": metrics["test"]["macro_f1"],
        "ece": metrics["test"]["ece"],
        **{key: metrics["baselines"][key]["accuracy"] for key in BASELINES},
        "neurons": metrics["neurons"]["selected"],
        "total": metrics["neurons"]["total"],
        "layers": metrics["layers"]["used"],
        "seconds": metrics["seconds"],
    }


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(
        command, cwd=HERE, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def read() -> list[dict[str, Any]]:
    found = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else []
    return [{"dtype": FLOAT32, **row} for row in found]


def keep(row: dict[str, Any]) -> None:
    key = ("set", "preset", "dtype", "seed")
    rows = [old for old in read() if any(old[k] != row[k] for k in key)]
    rows = sorted([*rows, row], key=lambda one: [str(one[k]) for k in key])
    KEPT.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


def table(rows: list[dict[str, Any]]) -> str:
    """Mean and range over seeds, in percent; the best of each row in bold."""
    heads = ["data set", "preset", "ours", *BASELINES, "neurons", "layers", "seeds"]
    lines = [heads, ["---"] * len(heads)]
    for name, preset in dict.fromkeys((row["set"], row["preset"]) for row in rows):
        group = [r for r in rows if (r["set"], r["preset"]) == (name, preset)]
        means = {k: statistics.mean(r[k] for r in group) for k in ("ours", *BASELINES)}
        best = max(means.values())
        scores = [
            f"**{100 * mean:.1f}**" if mean == best else f"{100 * mean:.1f}"
            for mean in means.values()
        ]
        low, high = (f(100 * r["ours"] for r in group) for f in (min, max))
        scores[0] += f" ({low:.1f}-{high:.1f})"
        kept = [r["neurons"] for r in group]
        share = statistics.mean(kept) / group[0]["total"]
        neurons = f"{min(kept):,}-{max(kept):,} ({share:.1%})"
        layers = ", ".join(sorted({str(r["layers"]) for r in group}))
        lines.append([name, preset, *scores, neurons, layers, str(len(group))])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def differences(rows: list[dict[str, Any]]) -> str:
    """What another data type changes of the same run in float32, in points."""
    key = ("set", "preset", "seed")
    of = {tuple(r[k] for k in key): r for r in rows if r["dtype"] == FLOAT32}
    lines = [["data set", "preset", "data type", "change", "of each seed"], ["---"] * 5]
    others = [row for row in rows if row["dtype"] != FLOAT32]
    groups: dict[tuple[str, ...], list[float]] = {}
    for row in others:
        if (beside := of.get(tuple(row[k] for k in key))) is not None:
            group = groups.setdefault((row["set"], row["preset"], row["dtype"]), [])
            group.append(100 * (row["ours"] - beside["ours"]))
    for group, points in groups.items():
        each = ", ".join(f"{point:+.2f}" for point in points)
        lines.append([*group, f"{statistics.mean(points):+.2f}", each])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if groups else ""


def publish(text: str) -> None:
    """Write the table to ACCURACY.md and between the marks in the page of stc."""
    about = "Test accuracy in percent, made by `python -m benches.accuracy`."
    parts = ["# Accuracy", about, text, differences(read())]
    told = "\n\n".join(filter(None, parts))
    (RESULTS / "ACCURACY.md").write_text(f"{told}\n", "utf-8")
    page = PAGE.read_text("utf-8")
    head, rest = page.split(MARKS[0], 1)
    tail = rest.split(MARKS[1], 1)[1]
    PAGE.write_text(f"{head}{MARKS[0]}\n{text}\n{MARKS[1]}{tail}", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", help="folders with train.csv and test.csv")
    parser.add_argument("--preset", default="stc")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--dtype", default=FLOAT32, choices=(FLOAT32, "bfloat16"))
    asked = parser.parse_args()
    for name in asked.sets:
        for seed in asked.seeds:
            row = train(name, asked.preset, seed, dtype=asked.dtype)
            keep(row)
            print(name, seed, {k: row[k] for k in ("ours", *BASELINES, "neurons")})
    publish(table([row for row in read() if row["dtype"] == FLOAT32]))


if __name__ == "__main__":
    main()
