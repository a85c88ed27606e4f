"""Whole paths by frozen heads: flat, masked, and combined by several rules.

    python -m benches paths --sizes 300 1000 2000 --seeds 0 1 2

`flat` is the head of the finest level alone. `masked` takes the best child of the best
parent by the head of the coarse level. The others add alpha log p(parent), with alpha
chosen by the rows that no head has seen: `combined` by the lowest log-loss (what the
recipe does), `by_accuracy` by the most right paths, `retempered` by the log-loss after
a new temperature. All heads are dense ridge heads; that of the coarse level is on the
blocks up to `layer`. `coarse_alone` is the accuracy of the coarse head, `coarse_summed`
that of the sums over the leaves. A row is one draw of training texts.
"""

import argparse
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd

from benches.bench_levels import LEVELS, SETS
from benches.measure import Row
from benches.seeds import capped, options, show_runs
from stc_core.activations.groups import extract_groups
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.label_tree import Tree, tree_of
from stc_core.data.task import Task
from stc_core.data.texts import Texts
from stc_core.heads.head import softmax
from stc_core.heads.path_heads import ALPHAS, path_logits, weigh_levels
from stc_core.metrics.criteria import CRITERIA
from stc_core.metrics.scores import accuracy, fit_temperature, log_loss
from stc_core.recipes.hierarchy.frozen_heads import (
    FrozenFeatures,
    LevelHead,
    fit_dense_level,
)
from stc_core.types import PooledSite

LAYERS, LEAST, HELD = (3, 4), 3, 0.15
POOL = 6000
"""Training texts are drawn from so many rows of a set."""


class Drawn(NamedTuple):
    """The features of some training texts and of the test texts, with their nodes."""

    features: FrozenFeatures
    tree: Tree
    tasks: list[Task]
    test: np.ndarray

    def codes(self, level: int) -> np.ndarray:
        return self.tasks[level].codes[self.test]


def draw(
    backbone: Backbone, name: str, rows: int, seed: int, asked: argparse.Namespace
) -> Drawn:
    columns = list(LEVELS[name])
    parts = []
    for part, most in (("train", POOL), ("test", asked.test_rows or 1000)):
        path = capped(name, part, columns, most, asked.out, least=0)
        parts.append(pd.read_csv(path, keep_default_na=False))
    train = parts[0].sample(frac=1, random_state=seed)
    first = train.groupby(columns[-1]).cumcount() < LEAST
    train = pd.concat([train.loc[first], train.loc[~first]]).head(rows)
    frame = pd.concat([train, parts[1]], ignore_index=True)
    n, labels = len(train), frame[columns].to_numpy(dtype=str)
    groups = np.arange(n), np.arange(n, len(frame))
    wanted = [PooledSite(site, "mean") for site in backbone.sites]
    store = extract_groups(
        backbone, Texts(frame["text"].tolist()), groups, wanted=wanted
    )
    tree = tree_of(labels[:n])
    codes, order = tree.codes(labels), np.random.default_rng(seed).permutation(n)
    held, learned = np.sort(order[: int(HELD * n)]), np.sort(order[int(HELD * n) :])
    tasks = [
        Task(codes[:, level], tree.names(level), learned, held)
        for level in range(tree.depth)
    ]
    features = FrozenFeatures(store.read, tuple(wanted), store.widths)
    return Drawn(features, tree, tasks, groups[1])


def masked(tree: Tree, logits: list[np.ndarray]) -> np.ndarray:
    """The best child of the best parent, level by level."""
    best = logits[0].argmax(axis=1)
    for level in range(1, tree.depth):
        under = tree.children(level)[best]
        best = np.where(under, logits[level], -np.inf).argmax(axis=1)
    return best


def rules(
    tree: Tree, held: list[np.ndarray], y: np.ndarray
) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Each rule with the weights that it chooses on held rows."""
    ones, above = np.ones(len(y)), tree.lineage(tree.depth - 1)
    yield (
        "combined",
        weigh_levels(above, held, y, weight=ones, score=CRITERIA["accuracy"].of).alphas,
    )
    grid = sorted(product(ALPHAS, repeat=tree.depth - 1), key=sum)
    joint = {alphas: path_logits(above, held, alphas) for alphas in grid}
    right = {alphas: accuracy(y, z.argmax(axis=1)) for alphas, z in joint.items()}
    yield "by_accuracy", max(right, key=lambda alphas: right[alphas])
    loss = {
        alphas: log_loss(y, softmax(z / fit_temperature(z, y)))
        for alphas, z in joint.items()
    }
    yield "retempered", min(loss, key=lambda alphas: loss[alphas])


def cases(drawn: Drawn, own: list[LevelHead]) -> Iterator[Row]:
    tree, y = drawn.tree, drawn.codes(-1)
    rows = own[-1].rows
    held = [level.at(rows).logits for level in own]
    test = [
        level.head.logits(drawn.features.values(level.head.features, drawn.test))
        for level in own
    ]
    alone = accuracy(drawn.codes(0), test[0].argmax(axis=1))

    def row(case: str, guess: np.ndarray, logits: np.ndarray, weights: str) -> Row:
        shares, above = softmax(logits), tree.ancestors(0)
        summed = [shares[:, above == node].sum(axis=1) for node in range(tree.sizes[0])]
        return {
            "case": case,
            "paths": accuracy(y, guess),
            "coarse_alone": alone,
            "coarse_summed": accuracy(drawn.codes(0), np.argmax(summed, axis=0)),
            "alphas": weights,
        }

    yield row("flat", test[-1].argmax(axis=1), test[-1], "0")
    yield row("masked", masked(tree, test), test[-1], "")
    for name, alphas in rules(tree, held, drawn.tasks[-1].codes[rows]):
        joint = path_logits(tree.lineage(tree.depth - 1), test, alphas)
        yield row(name, joint.argmax(axis=1), joint, " ".join(f"{a:g}" for a in alphas))


def bench(asked: argparse.Namespace) -> Iterator[Row]:
    backbone = Backbone.load()
    for name, rows, seed in product(asked.sets, asked.sizes, asked.seeds):
        drawn = draw(backbone, name, rows, seed, asked)
        finest = fit_dense_level(drawn.features, drawn.tasks[-1], backbone.n_layers)
        for layer in LAYERS:
            coarse = [
                fit_dense_level(drawn.features, task, layer)
                for task in drawn.tasks[:-1]
            ]
            for row in cases(drawn, [*coarse, finest]):
                where = {"bench": "paths", "set": name, "rows": rows, "seed": seed}
                yield {
                    **where,
                    "layer": layer,
                    **{
                        k: round(v, 4) if k != "case" and k != "alphas" else v
                        for k, v in row.items()
                    },
                    "n_test": len(drawn.test),
                }


def main() -> None:
    parser = options(__doc__ or "", rows=1000)
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--sizes", nargs="+", type=int, default=(300, 1000, 2000))
    show_runs(bench, parser)


if __name__ == "__main__":
    main()
