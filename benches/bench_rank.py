"""Which score of a backbone on a sample foretells the accuracy of training on it?

    python -m benches rank --rows 500 --sample 250 --out FOLDER

The backbones are the default model cut to its first 1 to 6 blocks, and the folders in
$STC_BENCH_MODELS. On each set each is trained in full by the recipe stc, on --rows
training rows, and scored on as many test rows. Each score sees --sample of the training
rows. `tau` is Kendall's tau-b between the score and the accuracy over the backbones,
1 for the same order; `lost` is the accuracy lost, in points, by training the backbone
that the score puts first in the place of the best one. `seconds` is the time of the
score for one backbone, without reading the texts. Backbones in --out are not trained
again.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from benches.bench_small import known_cases, tables
from benches.measure import DATA, Row, as_released
from benches.seeds import options, show_runs
from benches.transfer_scores import h_score, probe_score
from stc_core import Backbone, SparsifyThenClassify
from stc_core.activations.extract import extract
from stc_core.activations.resolution import resolved_reader
from stc_core.backbone.loading import hub
from stc_core.config import DEFAULT_BACKBONE
from stc_core.data.goal import choose_goal
from stc_core.data.task import Task
from stc_core.selection.folds import stratified_order
from stc_core.sweeps.log_me import log_me

MODELS = DATA.with_name("models")
SETS = ("sst2", "trec", "ag_news", "sms_spam", "edos", "banking77")
Score = Callable[[Any, Task, dict], float]


def cut_models(folder: Path) -> list[str]:
    """The folders of the default model cut to its first blocks, made if missing."""
    made = []
    source = hub.resolve(DEFAULT_BACKBONE)
    for n in range(1, 7):
        target = folder / f"minilm-{n}"
        if not (target / "model.safetensors").is_file():
            model = as_released()
            model.encoder.layer = model.encoder.layer[:n]
            model.config.num_hidden_layers = n
            model.save_pretrained(target)
            for path in source.glob("*token*"):
                (target / path.name).write_bytes(path.read_bytes())
            (target / "vocab.txt").write_bytes((source / "vocab.txt").read_bytes())
        made.append(str(target))
    named = os.environ.get("STC_BENCH_MODELS")
    others = Path(named) if named else MODELS
    return made + sorted(str(path.parent) for path in others.glob("*/config.json"))


def last_layer(
    score: Callable[[np.ndarray, np.ndarray], float], *, best: bool = False
) -> Score:
    """`score` of the mean of the last hidden state; `best`: of the best of all."""

    def scored(read: Any, task: Task, widths: dict) -> float:
        states = [
            site
            for site in widths
            if site.site.kind == "resid" and site.pooling == "mean"
        ]
        some = states if best else states[-1:]
        return max(score(read(site), task.codes) for site in some)

    return scored


def probe_of_last(read: Any, task: Task, widths: dict) -> float:
    """Our own score, of the mean of the last hidden state alone."""
    site = [s for s in widths if s.site.kind == "resid" and s.pooling == "mean"][-1]
    return float(probe_score(read, task, {site: widths[site]}).max())


SCORES: dict[str, Score] = {
    "probe, all sites": lambda *of: float(probe_score(*of).max()),
    "probe, last layer": probe_of_last,
    "H-score, last layer": last_layer(h_score),
    "H-score, best layer": last_layer(h_score, best=True),
    "LogME, last layer": last_layer(log_me),
    "LogME, best layer": last_layer(log_me, best=True),
}


def scores_of(model: str, train: pd.DataFrame, n: int) -> dict[str, Any]:
    """Each score of a backbone on a sample of the training rows, and its seconds."""
    backbone = Backbone.load(model)
    every = train["label"].astype("category").cat.codes.to_numpy(np.int64)
    some = np.sort(stratified_order(every, np.arange(len(every)), seed=0)[:n])
    classes, codes = np.unique(every[some], return_inverse=True)
    names, rows = tuple(map(str, classes)), np.arange(len(some))
    task = Task(codes, names, rows, rows[:0], choose_goal(codes, len(classes)))
    wanted = SparsifyThenClassify(backbone).wanted(backbone)
    store = extract(backbone, train["text"].iloc[some].tolist(), wanted)
    read = resolved_reader(store, wanted, rows, dtype=backbone.dtype)
    widths = {site: store.widths[site] for site in wanted}
    for site in wanted:
        read(site)  # from the disk to memory, for all scores alike
    found: dict[str, Any] = {}
    for name, score in SCORES.items():
        start = time.perf_counter()
        found[name] = score(read, task, widths)
        found[f"{name}, seconds"] = time.perf_counter() - start
    return found


def case_figures(
    name: str, model: str, asked: argparse.Namespace, seed: int
) -> dict[str, Any]:
    """The scores of a backbone on one set, and its accuracy once it is trained."""
    train, test = tables(name, asked.rows, seed)
    test = test.head(asked.test_rows or asked.rows)
    found = scores_of(model, train, asked.sample)
    start = time.perf_counter()
    fitted = SparsifyThenClassify(model, seed=seed).fit(train["text"], train["label"])
    found["training, seconds"] = time.perf_counter() - start
    return {**found, "accuracy": fitted.score(test["text"], test["label"])}


def judged(name: str, score: str, cases: list[dict[str, Any]]) -> Row:
    """How well a score orders the backbones on one set."""
    scores, right = ([case[key] for case in cases] for key in (score, "accuracy"))
    tau, _ = kendalltau(scores, right)
    lost = max(right) - right[int(np.argmax(scores))]
    seconds = statistics.median(case[f"{score}, seconds"] for case in cases)
    return {"set": name, "rival": score, "tau": tau, "lost": lost, "seconds": seconds}


def bench(asked: argparse.Namespace) -> Iterator[Row]:
    path, rows = asked.out / "rank.jsonl", []
    for name in asked.sets:
        for seed in asked.seeds:
            cases = []
            for model in cut_models(asked.out):
                case = {"set": name, "rows": asked.rows, "sample": asked.sample}
                case |= {"seed": seed, "model": Path(model).name}
                known = [c for c in known_cases(path) if c.items() >= case.items()]
                if not known:
                    known = [case | case_figures(name, model, asked, seed)]
                    with path.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(known[0]) + "\n")
                cases += known
            rows += [judged(name, score, cases) for score in SCORES]
    for score in SCORES:
        own = [row for row in rows if row["rival"] == score]
        by_set = {
            name: statistics.mean(row["tau"] for row in own if row["set"] == name)
            for name in asked.sets
        }
        yield {
            "rival": score,
            "tau": round(statistics.mean(by_set.values()), 3),
            **{f"tau, {name}": round(tau, 2) for name, tau in by_set.items()},
            "lost": round(100 * statistics.mean(row["lost"] for row in own), 2),
            "most lost": round(100 * max(row["lost"] for row in own), 2),
            "seconds": round(statistics.median(row["seconds"] for row in own), 3),
        }


if __name__ == "__main__":
    parser = options(__doc__ or "", rows=500)
    parser.add_argument("--sample", type=int, default=250, help="rows of each score")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.set_defaults(seeds=(0,))
    show_runs(bench, parser)
