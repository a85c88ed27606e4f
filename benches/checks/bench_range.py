"""How far a head may count a value: accuracy, and confidence on texts of another kind.

    python -m benches range --rows 1500 --test-rows 1000

Each set is fitted once. Then the head is fitted again under each rule, whose ends hold
for the rows of the fit, too. `other` are 100 test texts of each other set, `noise` are
texts of signs, repeated words, other scripts and random letters; `*_99` and `*_90` are
the shares of answers with a probability above .99 and .9.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from benches.measure import Row, texts
from benches.seeds import data_of, options, show_runs
from stc_core.activations.extract import extract_features
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.estimator import SparsifyThenClassify
from stc_core.data.task import Task
from stc_core.heads.head import SparseHead, mean_and_sd
from stc_core.heads.ridge import fit_ridge_head
from stc_core.metrics.scores import accuracy, log_loss

SETS = ("sst2", "trec", "ag_news", "sms_spam", "edos", "banking77", "clinc150", "imdb")
LONGEST = 1500
"""Texts are cut at so many characters."""
Ends = tuple[np.ndarray, np.ndarray]
"""The lowest and the highest value of each neuron that counts."""


def deviations(X: np.ndarray, most: float) -> Ends:
    mean, sd = mean_and_sd(X)
    return mean - most * sd, mean + most * sd


def quantiles(X: np.ndarray, share: float) -> Ends:
    outside = (1 - share) / 2
    low, high = np.quantile(X, [outside, 1 - outside], axis=0).astype(np.float32)
    return low, high


RULES: dict[str, Callable[[np.ndarray], Ends]] = {
    "none": lambda X: (X.min(axis=0) - np.inf, X.max(axis=0) + np.inf),
    "range on train": lambda X: (X.min(axis=0), X.max(axis=0)),
    **{f"{n} sd": lambda X, n=n: deviations(X, n) for n in (8, 5, 4, 3)},
    **{
        f"{share:.1%} of the values": lambda X, share=share: quantiles(X, share)
        for share in (0.998, 0.98)
    },
}


def noise() -> list[str]:
    """Texts that mean nothing, 20 of them regular and 80 of random letters."""
    rng = np.random.default_rng(0)
    letters = list("abcdefghijklmnopqrstuvwxyz ,.!?0123456789")
    parts = "!!! |a |?|1 2 3 |.|x|lorem ipsum dolor |你好世界|😀|<html><body>|".split(
        "|"
    )
    parts += (
        "AB|the |0|-|Привет мир |مرحبا |http://www.example.com/|\\n\\t|= |{} ".split(
            "|"
        )
    )
    regular = [part * (200 // len(part)) for part in parts if part]
    return regular + [
        "".join(rng.choice(letters, rng.integers(5, 300))) for _ in range(80)
    ]


def table(name: str, split: str, asked: argparse.Namespace) -> tuple[list[str], Any]:
    """The texts of a split and their labels."""
    data = data_of(name, ("label",), asked)
    path = data.path if split == "train" else data.test_path
    frame = pd.read_csv(str(path), keep_default_na=False)
    return frame["text"].str[:LONGEST].tolist(), frame["label"].astype(str).to_numpy()


def confident(head: SparseHead, X: np.ndarray) -> dict[str, float]:
    sure = head.probabilities(X).max(axis=1)
    return {str(at): float((sure > at / 100).mean()) for at in (99, 90)}


def rows_of(name: str, asked: argparse.Namespace, backbone: Backbone) -> Iterator[Row]:
    """The head of a set under each rule."""
    train, labels = table(name, "train", asked)
    test, true = table(name, "test", asked)
    model = SparsifyThenClassify(backbone).fit(train, labels)
    others = [t[:LONGEST] for s in SETS if s != name for t in texts(s, "test", 100)]

    def read(some: list[str]) -> np.ndarray:
        return extract_features(backbone, some, model.head_.features)

    X, X_test, X_other, X_noise = map(read, (train, test, others, noise()))
    classes = [str(label) for label in model.classes_]
    y, y_test = (pd.Index(classes).get_indexer(part) for part in (labels, true))
    task = Task(y, tuple(classes), np.arange(len(y)), np.arange(0))
    chosen, trust = model.fitted_.chosen, model.fitted_.trust
    for rule, ends in RULES.items():
        low, high = ends(X)
        head = fit_ridge_head(
            np.clip(X, low, high),
            task,
            model.head_.features,
            rows=task.train,
            ridge=float(chosen["ridge"]),
            trust=trust,
        ).cooled(float(chosen["temperature"]))
        head = head._replace(low=low, high=high)
        P = head.probabilities(X_test)
        known = y_test >= 0
        yield {
            "set": name,
            "case": rule,
            "neurons": len(head.features),
            "accuracy": round(accuracy(y_test, P.argmax(axis=1)), 4),
            "log_loss": round(log_loss(y_test[known], P[known]), 4),
            **{
                f"other_{at}": round(v, 3) for at, v in confident(head, X_other).items()
            },
            **{
                f"noise_{at}": round(v, 3) for at, v in confident(head, X_noise).items()
            },
        }


def bench(asked: argparse.Namespace) -> Iterator[Row]:
    backbone, found = Backbone.load(), []
    for name in SETS:
        for row in rows_of(name, asked, backbone):
            found.append(row)
            yield row
    for rule in RULES:
        own = [row for row in found if row["case"] == rule]
        numbers = [name for name in own[0] if name not in ("set", "case", "neurons")]
        means = {name: float(np.mean([row[name] for row in own])) for name in numbers}
        yield {
            "set": "mean",
            "case": rule,
            **{k: round(v, 4) for k, v in means.items()},
        }


if __name__ == "__main__":
    show_runs(bench, options(__doc__ or "", rows=1500))
