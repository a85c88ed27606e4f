"""Fewer layers, tuned, and attention: accuracy, time, parameters, compute saved.

    python -m benches adapt --rows 4000 --seeds 0 1 2 --out RUNS

`up_to`: the head on l* and three blocks up to there tuned; against as many top blocks
(the same run, where l* is the last layer), and all, and against what is not tuned
(`stc` reads the means of hidden states alone). Attention on the frozen model against
poolings of all layers alike, and its schedules that tune. Each row is the mean over the
seeds. Runs that are done are in --out and are not done again.
"""

import argparse
from collections.abc import Iterator
from typing import Any

from benches.measure import Row
from benches.seeds import data_of, means, options, show_runs, trained

SETS = ("sst2", "trec", "edos")
TUNED: dict[str, dict[str, Any]] = {
    "up_to": {"where": "variability"},
    "top": {"where": "top"},
    "all": {"where": "all"},
}
UNTUNED = {"frozen": "l* not tuned", "stc": "stc", "last_layer": "last layer"}
SCHEDULES = ("frozen", "two-stage", "multi-task")
BESIDE = ("mean", "max", "last")


def settings_of(
    seed: int, recipe: dict[str, Any], epochs: int | None
) -> dict[str, Any]:
    """The settings of one run; `epochs` are of all that is tuned, None as usual."""
    bound = {"epochs": epochs} if epochs else {}
    return {
        "recipe": recipe["recipe"],
        "seed": seed,
        "kinds": ("resid",),
        "poolings": ("mean",),
        "tune": {**recipe.get("tune", {}), **bound},
        "attention": {**recipe.get("attention", {}), **bound},
    }


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
    data = data_of(name, ("label",), asked)

    def run(case: str, recipe: dict[str, Any]) -> Any:
        folder = asked.out / f"{name}-{asked.rows}-{asked.epochs}-{seed}-{case}"
        return trained(folder, data, settings_of(seed, recipe, asked.epochs))

    metrics: Any = {}
    for case, tune in TUNED.items():
        if case != "top" or metrics["layers"]["used"] < metrics["layers"]["total"]:
            metrics = run(case, {"recipe": "variability", "tune": tune})
        rows = {row["name"]: row for row in metrics["comparison"]}
        yield f"tuned {case}", figures(rows["tuned"], metrics)
        if case == "up_to":
            for untuned, said in UNTUNED.items():
                yield said, figures(rows[untuned], metrics)
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
        for case, row in means(found, "accuracy"):
            where = {"bench": "adapt", "set": name, "rows": asked.rows}
            yield {**where, "case": case, **row}


def main() -> None:
    parser = options(__doc__ or "", rows=4000)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--epochs", type=int, help="of all that is tuned; as usual")
    show_runs(bench, parser)


if __name__ == "__main__":
    main()
