"""Learning curves: what half of the rows foretell of all rows, and what comes true.

    python -m benches learning --rows 1000 --seeds 0 1 2 3 4 --out FOLDER

For each set a pool of texts is read once. Each seed draws so many rows of it; half of
them are learned, and their curve foretells the accuracy of all of them. Then the preset
is fitted on all of them, and its accuracy on the other texts of the pool is the truth.
Figures are in points: the mean error of the forecast, of "no change" (the score that
half of the rows tell), the share of bands that hold the truth, and their mean width.
Cases in --out are not done again.
"""

import argparse
import json
import os
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benches.bench_small import SETS
from benches.measure import DATA, Row
from benches.seeds import options, show_runs
from stc_core.activations.groups import extract_groups
from stc_core.activations.resolution import resolved_reader
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.estimator import SparsifyThenClassify
from stc_core.data.task import Task
from stc_core.data.texts import Texts
from stc_core.selection.folds import digests
from stc_core.selection.learning_curve import measure_learning
from stc_core.selection.salience import Salience
from stc_core.selection.stc import fit_stc

KNOWN = ("trec", "sst2", "ag_news", "sms_spam", "edos", "banking77")
N_TEST = 600


def figures(name: str, rows: int, seeds: list[int]) -> Iterator[dict[str, Any]]:
    """The forecast and the truth of each seed."""
    folder = Path(os.environ.get("STC_BENCH_DATA", DATA)) / name
    frame = pd.read_csv(next(folder.glob("train.csv*")), keep_default_na=False)
    frame = frame.drop_duplicates("text").sample(rows + N_TEST, random_state=0)
    codes, classes = pd.factorize(frame[SETS[name]], sort=True)
    backbone, everything = Backbone.load("all-MiniLM-L6-v2"), np.arange(len(frame))
    wanted = SparsifyThenClassify().wanted(backbone)
    texts = Texts(frame["text"].tolist())
    store = extract_groups(
        backbone, texts, [everything], wanted=wanted, store_dtype="float16"
    )
    keys = digests(store.read(wanted[-1]))
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(len(frame))
        test, found = order[rows:], {}
        for part in (rows // 2, rows):
            learned = order[:part]
            cut = round(0.85 * part)
            task = Task(
                codes.astype(np.int64),
                tuple(map(str, classes)),
                np.sort(learned[:cut]),
                np.sort(learned[cut:]),
            )
            read = resolved_reader(store, wanted, task.train, dtype=backbone.dtype)
            ones = [Salience(s, np.ones(store.widths[s]), 0.5) for s in wanted]
            found[part] = task, read, fit_stc(read, task, ones, reported=test)
        task, read, fitted = found[rows // 2]
        held = float(
            np.mean(fitted.held_logits.argmax(axis=1) == task.codes[fitted.held])
        )
        more = rows - rows // 2
        curve = measure_learning(
            read, task, wanted, keys, held_accuracy=held, wanted=[more]
        )
        option = found[rows][2].option
        assert option is not None
        truth = float(np.mean(option.guess == codes[test]))
        told = {} if curve is None else curve.forecasts[-1]._asdict()
        case = {"set": name, "rows": rows, "seed": seed}
        yield {**case, "truth": truth, "held": held, **told}


def known_cases(path: Path) -> list[dict[str, Any]]:
    """The cases that are done already."""
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def bench(asked: argparse.Namespace) -> Iterator[Row]:
    path = asked.out / "learning.jsonl"
    path.touch()
    for name in asked.sets:
        done = {(one["set"], one["rows"], one["seed"]) for one in known_cases(path)}
        left = [seed for seed in asked.seeds if (name, asked.rows, seed) not in done]
        for case in figures(name, asked.rows, left) if left else ():
            with path.open("a") as file:
                file.write(json.dumps(case) + "\n")
    cases = [one for one in known_cases(path) if one["rows"] == asked.rows]
    for name in (*asked.sets, "all"):
        own = [one for one in cases if name in (one["set"], "all") and "low" in one]
        if own:
            yield summary(name, own)


def summary(name: str, cases: list[dict[str, Any]]) -> Row:
    """The errors of the forecasts in points, and the coverage of their bands."""
    off = [100 * (one["score"] - one["truth"]) for one in cases]
    still = [100 * abs(one["held"] - one["truth"]) for one in cases]
    inside = [one["low"] <= one["truth"] <= one["high"] for one in cases]
    return {
        "set": name,
        "rows": cases[0]["rows"],
        "cases": len(cases),
        "accuracy": round(100 * statistics.mean(one["truth"] for one in cases), 1),
        "mean error": round(statistics.mean(map(abs, off)), 1),
        "bias": round(statistics.mean(off), 1),
        "error of no change": round(statistics.mean(still), 1),
        "coverage": round(statistics.mean(inside), 2),
        "width": round(
            100 * statistics.mean(one["high"] - one["low"] for one in cases), 1
        ),
    }


if __name__ == "__main__":
    parser = options(__doc__ or "", rows=1000)
    parser.add_argument("--sets", nargs="+", default=list(KNOWN), choices=KNOWN)
    show_runs(bench, parser)
