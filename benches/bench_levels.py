"""Levels of labels by one model, against flat, separate and inner-layer classifiers.

    python -m benches levels --rows 2000 --seeds 0 1 2 --out RUNS

`joint` is the accuracy of whole paths, `level_D` that of one level by itself (of a
rival: the finest alone); `coarse_compute` is the share of the model that a coarse
answer needs. Means over the seeds, with the range of `joint`. --backbones takes folders
of decoders, too, whose heads spell the names. Runs that are done are in --out and are
not done again.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from benches.measure import Row
from benches.seeds import data_of, means, options, show_runs, trained
from stc_core.config import DEFAULT_BACKBONE, DataConfig

LEVELS = {
    "trec": ("label_1", "label_2"),
    "clinc150": ("label_1", "label_2"),
    "edos": ("label_1", "label_2", "label_3"),
    "sample": ("topic", "subtopic"),
}
SETS = ("trec", "clinc150", "edos")
SAMPLE = Path(__file__).parents[1] / "samples" / "customer_messages.csv"
LEAST = 4
"""Training rows of each finest class, if there are as many."""
RIVALS = ("flat", "separate", "inner_probe", "stc")


def data(name: str, asked: argparse.Namespace) -> DataConfig:
    if name == "sample":
        return DataConfig(path=str(SAMPLE), text="text", labels=LEVELS[name])
    return data_of(name, LEVELS[name], asked, least=LEAST)


def _coarse(test: Any) -> Row:
    """The accuracy of answers to the coarsest level alone, and by sums over leaves."""
    alone = next(iter(test.get("coarse", ())), None)
    if alone is None:
        return {}
    return {
        "coarse_alone": alone["accuracy"],
        "coarse_summed": alone["summed_accuracy"],
    }


def figures(metrics: Any) -> Iterator[tuple[str, Row]]:
    """Ours, then each rival of one run; `stc` has no levels but the finest."""
    test, told = metrics["test"], metrics["hierarchy"]
    ours: Row = {"joint": test["joint_accuracy"], "macro_f1": test["macro_f1"]}
    for level, scores in enumerate(test["levels"], 1):
        ours[f"level_{level}"] = scores["accuracy"]
    flops, seconds = told["flops_per_token"], metrics["seconds"]
    yield (
        "ours",
        ours
        | {
            "consistency": test["consistency"],
            "seconds": seconds.get("tune", seconds.get("levels", 0.0)),
            "coarse_compute": flops[0] / flops[-1],
            **_coarse(test),
        },
    )
    for name in RIVALS:
        if (scores := metrics["baselines"].get(name)) is None:
            continue
        row = {
            "joint": scores.get("joint_accuracy", scores["accuracy"]),
            "macro_f1": scores["macro_f1"],
            f"level_{len(test['levels'])}": scores["accuracy"],
        }
        kept = {k: scores[k] for k in ("consistency", "seconds") if k in scores}
        yield name, row | kept


def bench(asked: argparse.Namespace) -> Iterator[Row]:
    for name in asked.sets:
        for backbone in asked.backbones:
            found: dict[str, list[Row]] = {}
            model, n_test = Path(backbone).name, 0
            rate = {"learning_rate": asked.rate} if asked.rate else {}
            for seed in asked.seeds:
                settings = {
                    "recipe": "hierarchy",
                    "backbone": backbone,
                    "seed": seed,
                    "kinds": ("resid",),
                    "poolings": ("mean",),
                    "tune": {"epochs": asked.epochs, **rate},
                }
                about = f"{name}-{asked.rows}-{asked.epochs}-{seed}-{model}"
                about += "".join(f"-{value:g}" for value in rate.values())
                metrics = trained(asked.out / about, data(name, asked), settings)
                n_test = metrics["test"]["n"]
                for case, row in figures(metrics):
                    found.setdefault(case, []).append(row)
            for case, row in means(found, "joint"):
                whole = name == "sample"  # it is split as the app does
                rows = len(pd.read_csv(SAMPLE)) if whole else asked.rows
                where = {"bench": "levels", "set": name, "rows": rows}
                where |= {"backbone": model, "epochs": asked.epochs, **rate}
                where |= {"case": case}
                yield {**where, **row, "n_test": n_test}


def main() -> None:
    parser = options(__doc__ or "", rows=2000)
    parser.add_argument("--sets", nargs="+", default=SETS, choices=LEVELS)
    parser.add_argument("--backbones", nargs="+", default=[DEFAULT_BACKBONE])
    parser.add_argument("--epochs", type=int, default=5, help="of all that is tuned")
    parser.add_argument("--rate", type=float, help="of learning; else the usual one")
    show_runs(bench, parser)


if __name__ == "__main__":
    main()
