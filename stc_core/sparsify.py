"""From probes of every site to one small head: select, integrate, choose.

The default preset `stc`; the paper's own recipe is in spin.py. Both choose on the
validation rows alone.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.axes import Feature, PooledSite, Progress, silent
from stc_core.errors import StcError
from stc_core.head import (
    SparseHead,
    fit_readouts,
    row_weights,
    softmax,
    standard,
)
from stc_core.metrics import accuracy, fit_temperature, log_loss, macro_f1
from stc_core.probe import ProbeResult
from stc_core.select import (
    gram,
    importance,
    keep_mass,
    keep_top,
    rank_jointly,
    solve_ridge,
)

Read = Callable[[PooledSite], Float[np.ndarray, "n width"]]

MOST_CANDIDATES = 4096
ETAS = (0.999, 0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.01)
NEURON_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 362, 512, 724, 1024, 1448)
RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0)
HEAD_RIDGES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


class Task(NamedTuple):
    """The labels of all rows of a feature reader, and who learns from which."""

    codes: Int[np.ndarray, " n"]
    classes: tuple[str, ...]
    train: Int[np.ndarray, " n_train"]
    validation: Int[np.ndarray, " n_val"]
    class_weight: str | None = None

    @property
    def learned(self) -> Int[np.ndarray, " n_learned"]:
        """Rows that the final head is fitted on: train, then validation."""
        return np.concatenate([self.train, self.validation])

    def weights(self, rows: Int[np.ndarray, " some"]) -> Float[np.ndarray, " some"]:
        return row_weights(self.codes[rows], len(self.classes), self.class_weight)


class Point(NamedTuple):
    """One cheaper classifier that was considered: its cost, its validation score."""

    curve: str  # "neurons" or "depth"
    neurons: int
    layer: int
    ridge: float
    accuracy: float
    macro_f1: float


class Fitted(NamedTuple):
    """A head, what else was considered, and how the head did before its refit.

    `validation_logits` are those of the head fitted on the training rows alone.
    """

    head: SparseHead
    points: tuple[Point, ...]
    chosen: dict[str, float | int | str]
    validation_logits: Float[np.ndarray, "n_val n_class"]


class Pool(NamedTuple):
    """Candidate features, in computing order, read and standardised on train."""

    features: tuple[Feature, ...]
    X: Float[np.ndarray, "n d"]  # raw, all rows
    Z: Float[np.ndarray, "n d"]
    layers: Int[np.ndarray, " d"]
    eta: float


def fit_stc(
    read: Read,
    task: Task,
    probes: Sequence[ProbeResult],
    *,
    eta: float | None = None,
    budget: int | None = None,
    progress: Progress = silent,
) -> Fitted:
    """The preset `stc`: candidates by probe weights, joint re-selection, ridge head.

    Candidates are the neurons that hold a share eta of each layer's squared
    standardised probe weights (the largest eta that keeps MOST_CANDIDATES of them, if
    none is given); they are ranked beside each other, cut to the count that does best
    on validation (or `budget`), and read by a temperature-scaled ridge head.
    """
    pool = gather(read, task, probes, eta=eta)
    scores = _Scores(task, pool)
    depths = sorted(set(pool.layers.tolist()))
    points = scores.by_neurons(budget)
    best = choose(points)
    for step, layer in enumerate(depths, start=1):
        points.append(scores.at_depth(layer, best.neurons))
        progress(step, len(depths))
    columns = np.sort(keep_top(scores.rank, best.neurons))
    trust = np.sqrt(scores.rank[columns] / scores.rank[columns].mean())
    head, logits, settings = fit_head(
        pool.X[:, columns],
        task,
        [pool.features[column] for column in columns],
        trust=trust.astype(np.float32),
    )
    chosen = {"eta": pool.eta, "candidates": len(pool.features), **settings}
    return Fitted(head, tuple(points), chosen, logits)


def choose(points: Sequence[Point]) -> Point:
    """The point with the best validation accuracy, the fewest neurons on a tie."""
    return max(points, key=lambda point: (point.accuracy, -point.neurons))


def gather(
    read: Read, task: Task, probes: Sequence[ProbeResult], *, eta: float | None = None
) -> Pool:
    """The candidates of all layers, read and standardised.

    For each layer, over its sites and poolings together, the features that hold a
    share eta of the squared weights of the layer's best probes.
    """
    features, kept, eta = _candidates(probes, eta)
    if not features:
        raise StcError(
            "selection",
            expected="probes that give some neurons a weight",
            got="none: no site tells the labels better than their frequencies",
            remedy="Check the label column, or give more rows.",
        )
    X = np.concatenate(
        [read(pooled)[:, columns] for pooled, columns in kept.items()], axis=1
    )
    mean, sd = standard(X[task.train], task.weights(task.train))
    layers = np.array([feature.site.layer for feature in features])
    return Pool(features, X, ((X - mean) / sd).astype(np.float32), layers, eta)


def _candidates(
    probes: Sequence[ProbeResult], eta: float | None
) -> tuple[tuple[Feature, ...], dict[PooledSite, np.ndarray], float]:
    layers: dict[int, list[ProbeResult]] = {}
    for probe in sorted(probes, key=lambda probe: probe.pooled_site):
        layers.setdefault(probe.pooled_site.site.layer, []).append(probe)
    scores = {
        layer: [importance(probe.path.coef[probe.best]) for probe in group]
        for layer, group in layers.items()
    }
    for share in ETAS if eta is None else (eta,):
        kept: dict[PooledSite, np.ndarray] = {}
        for layer, group in layers.items():
            kept |= _keep_in_layer(group, scores[layer], share)
        n = sum(map(len, kept.values()))
        if n <= MOST_CANDIDATES:
            break
    features = tuple(
        Feature(pooled.site, pooled.pooling, int(index))
        for pooled, columns in kept.items()
        for index in columns
    )
    return features, kept, share


def _keep_in_layer(
    group: Sequence[ProbeResult], scores: Sequence[np.ndarray], share: float
) -> dict[PooledSite, np.ndarray]:
    offsets = np.cumsum([0, *map(len, scores)])
    columns = np.sort(keep_mass(np.concatenate(scores), share))
    return {
        probe.pooled_site: columns[(columns >= low) & (columns < high)] - low
        for probe, low, high in zip(group, offsets, offsets[1:], strict=False)
    }


class _Scores:
    """Validation scores of subsets of the candidates, all from one Gram matrix.

    Least squares stands in for the log-loss here: it ranks subsets alike and costs a
    small solve each. The head itself is multinomial.
    """

    def __init__(self, task: Task, pool: Pool) -> None:
        self.pool = pool
        weights = task.weights(task.train)
        codes = task.codes[task.train]
        self.moments = gram(
            pool.Z[task.train],
            codes,
            n_class=len(task.classes),
            sample_weight=weights,
        )
        self.rank = rank_jointly(self.moments)
        shares = np.bincount(codes, weights, len(task.classes)) / weights.sum()
        self.prior = shares.astype(np.float32)
        self.Z_val = pool.Z[task.validation]
        self.y_val = task.codes[task.validation]

    def by_neurons(self, budget: int | None) -> list[Point]:
        """A point for each count of neurons up to the most, or the budget."""
        most = int(min(budget or NEURON_COUNTS[-1], np.count_nonzero(self.rank)))
        counts = [n for n in NEURON_COUNTS if n < most] + [most]
        return [self.score("neurons", keep_top(self.rank, n)) for n in counts]

    def at_depth(self, layer: int, n: int) -> Point:
        """The same number of neurons, re-selected from the layers up to `layer`."""
        below = np.flatnonzero(self.pool.layers <= layer)
        rank = rank_jointly(self.moments.restricted(below))
        return self.score("depth", below[keep_top(rank, n)])._replace(layer=layer)

    def score(self, curve: str, columns: Int[np.ndarray, " kept"]) -> Point:
        """How well these columns do under the best ridge."""
        moments = self.moments.restricted(columns)
        tried = []
        for ridge in sorted(RIDGES, reverse=True):
            W = solve_ridge(moments, ridge)
            guess = (self.Z_val[:, columns] @ W + self.prior).argmax(axis=1)
            scored = accuracy(self.y_val, guess), macro_f1(self.y_val, guess)
            tried.append((*scored, ridge))
        right, f1, ridge = max(tried, key=lambda row: row[0])
        deepest = int(self.pool.layers[columns].max())
        return Point(curve, len(columns), deepest, ridge, right, f1)


def fit_head(
    X: Float[np.ndarray, "n d"],
    task: Task,
    features: Sequence[Feature],
    *,
    trust: Float[np.ndarray, " d"] | None = None,
) -> tuple[SparseHead, Float[np.ndarray, "n_val n_class"], dict[str, float]]:
    """The head on raw columns X, its validation logits before the refit, its settings.

    A multinomial ridge model for each of HEAD_RIDGES is fitted on train; the one with
    the best validation accuracy (the lower log-loss on a tie) gets its temperature
    there and is fitted again on train and validation. `trust` scales the prior
    deviation of each weight.
    """
    train, held, learned = task.train, task.validation, task.learned
    scale = np.ones(X.shape[1], np.float32) if trust is None else trust
    n_class = len(task.classes)

    def fit(rows: np.ndarray, ridges: Sequence[float]) -> tuple[np.ndarray, list]:
        mean, sd = standard(X[rows], task.weights(rows))
        Z = ((X - mean) / sd * scale).astype(np.float32)
        readouts = fit_readouts(
            Z[rows],
            task.codes[rows],
            n_class=n_class,
            ridges=ridges,
            sample_weight=task.weights(rows),
        )
        return np.stack([mean, sd]), [(readout, Z[held]) for readout in readouts]

    _, tried = fit(train, HEAD_RIDGES)
    logits = [readout.logits(Z_held) for readout, Z_held in tried]
    y = task.codes[held]
    best = min(
        range(len(tried)),
        key=lambda i: (-accuracy(y, logits[i].argmax(1)), _loss(logits[i], y)),
    )
    temperature = fit_temperature(logits[best], y)
    (mean, sd), [(readout, _)] = fit(learned, [HEAD_RIDGES[best]])
    head = SparseHead(
        tuple(features),
        mean,
        sd,
        readout.weight * scale,
        readout.bias,
        task.classes,
    ).cooled(temperature)
    settings = {"ridge": HEAD_RIDGES[best], "temperature": temperature}
    return head, logits[best] / temperature, settings


def _loss(logits: np.ndarray, y: np.ndarray) -> float:
    return log_loss(y, softmax(logits))
