"""From probes of every site to one small head: select, integrate, choose.

The default preset `stc`; the paper's own recipe is in spin.py. Both choose on the
validation rows alone.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.axes import Feature, PooledSite, Progress, silent
from stc_core.dual import Block, joint_ridge
from stc_core.errors import StcError
from stc_core.head import SparseHead, row_weights, standard
from stc_core.metrics import accuracy, fit_temperature, macro_f1
from stc_core.probe import ProbeResult
from stc_core.select import (
    Gram,
    gram,
    importance,
    keep_mass,
    keep_top,
    solve_ridge,
)

Read = Callable[[PooledSite], Float[np.ndarray, "n width"]]

MOST_CANDIDATES = 4096, 16_384
"""At most so many for few classes, and for many: see `most_candidates`."""
CANDIDATES_PER_CLASS = 256
MOST_JOINT = 8192
"""More candidates are first ranked in the dual form, MOST_RANKED rows at most."""
MOST_RANKED = 12_000
ETA = 0.99
RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
SLACK = 0.25
TRUST_POWER = 2
LEAST_TRUST = 0.05
CANDIDATES_PER_ROW = 3
MOST_GIVEN = 12_000
"""Candidates that a given eta may keep: their Gram matrix takes half a gigabyte."""
SHARPNESS = 10.0
"""Least-squares scores lie near 0 and 1: this brings a temperature near 1."""


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

    `validation_logits` are those of the head fitted on the training rows alone; `trust`
    is what a ridge head trusts each of its neurons, None for another head.
    """

    head: SparseHead
    points: tuple[Point, ...]
    chosen: dict[str, float | int | str]
    validation_logits: Float[np.ndarray, "n_val n_class"]
    trust: Float[np.ndarray, " n"] | None = None


class Pool(NamedTuple):
    """Candidate features, in computing order, read and standardised on train.

    `Z` is standardised and then scaled by `trust`, so that a ridge penalty falls more
    lightly on the neurons of sites whose probes do well.
    """

    features: tuple[Feature, ...]
    X: Float[np.ndarray, "n d"]  # raw, all rows
    Z: Float[np.ndarray, "n d"]
    trust: Float[np.ndarray, " d"]
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
    standardised probe weights (ETA if none is given, then MOST_CANDIDATES in all). A
    ridge model of all of them, which trusts sites by how well their probes do, ranks
    them beside each other; the fewest that do as well as any number on validation (or
    `budget`) are kept and read by a temperature-scaled ridge head, fitted again on
    train and validation.
    """
    pool = gather(read, task, probes, eta=eta)
    search = _Search(task, pool)
    counts = search.counts(budget)
    depths = sorted(set(pool.layers.tolist()))
    n_steps = len(counts) + len(depths)
    trials = []
    for n in counts:
        trials.append(search.trial(keep_top(search.rank, n)))
        progress(len(trials), n_steps)
    best, ridge = choose(counts, np.stack([t.score for t in trials]), search.error)
    if budget:
        best = len(counts) - 1
    points = [trial.point("neurons") for trial in trials]
    points[best] = trials[best].point("neurons", ridge)
    for layer in depths:
        points.append(search.at_depth(layer, counts[best]))
        progress(len(points), n_steps)
    best = points[best]
    columns = np.sort(keep_top(search.rank, best.neurons))
    head, logits = fit_head(
        pool.X[:, columns],
        task,
        [pool.features[column] for column in columns],
        ridge=best.ridge,
        trust=pool.trust[columns],
    )
    chosen = {
        "eta": pool.eta,
        "candidates": len(pool.features),
        "joint_ridge": search.ridge,
        "ridge": best.ridge,
        "temperature": head.temperature,
    }
    return Fitted(head.scaled, tuple(points), chosen, logits, pool.trust[columns])


def choose(
    counts: Sequence[int], scores: Float[np.ndarray, "n_counts n_ridges"], error: float
) -> tuple[int, int]:
    """Positions of the chosen count of neurons and of its ridge.

    Each validation accuracy is averaged with its neighbours in the grid first, since
    the best of many single cells is luck on few rows. Then the fewest neurons within
    SLACK standard errors of the best, and for them the best ridge, the larger on a tie.
    """
    smooth = _smooth(_smooth(scores).T).T
    best = smooth.max(axis=1)
    count = int(np.flatnonzero(best >= best.max() - SLACK * error)[0])
    ridge = len(RIDGES) - 1 - int(smooth[count, ::-1].argmax())
    return count, ridge


def _smooth(grid: Float[np.ndarray, "a b"]) -> Float[np.ndarray, "a b"]:
    """Each cell averaged with those before and after it in its row."""
    wide = np.pad(grid, ((0, 0), (1, 1)), mode="edge")
    return (wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]) / 3


def gather(
    read: Read, task: Task, probes: Sequence[ProbeResult], *, eta: float | None = None
) -> Pool:
    """The candidates of all layers, read and standardised.

    For each layer, over its sites and poolings together, the features that hold a
    share eta of the squared weights of the layer's best probes.
    """
    most = most_candidates(task) if eta is None else MOST_GIVEN
    trusted = _trust(probes, task)
    kept = _candidates(probes, trusted, eta or ETA, most)
    if sum(map(len, kept.values())) > max(MOST_JOINT, eta is not None and MOST_GIVEN):
        kept = _narrowed(read, task, kept, trusted)
    features = tuple(
        Feature(pooled.site, pooled.pooling, int(index))
        for pooled, columns in kept.items()
        for index in columns
    )
    if not features:
        raise nothing_selected()
    X = np.concatenate(
        [read(p)[:, columns] for p, columns in kept.items() if len(columns)], axis=1
    )
    mean, sd = standard(X[task.train], task.weights(task.train))
    layers = np.array([feature.site.layer for feature in features])
    trust = np.array([trusted[PooledSite(f.site, f.pooling)] for f in features])
    trust = trust.astype(np.float32)
    Z = ((X - mean) / sd * trust).astype(np.float32)
    return Pool(features, X, Z, trust, layers, eta or ETA)


def most_candidates(task: Task) -> int:
    """How many neurons are looked at together: more for more classes to tell apart.

    77 classes lose 1.5 points of accuracy with 4,096 candidates; 6 gain nothing from
    more (banking77, trec).
    """
    few, many = MOST_CANDIDATES
    wanted = min(max(few, CANDIDATES_PER_CLASS * len(task.classes)), many)
    return min(wanted, CANDIDATES_PER_ROW * len(task.train))


def _narrowed(
    read: Read,
    task: Task,
    kept: dict[PooledSite, np.ndarray],
    trust: dict[PooledSite, float],
) -> dict[PooledSite, np.ndarray]:
    """The MOST_JOINT candidates that count for most in a ridge model of them all.

    Its ridge is chosen on validation. Fitted on MOST_RANKED evenly spaced training
    rows at most, as its cost grows with their cube.
    """
    rows = task.train[:: -(-len(task.train) // MOST_RANKED)]
    sites = [site for site, columns in kept.items() if len(columns)]
    blocks = [
        Block(lambda site=site: read(site)[:, kept[site]], trust[site])
        for site in sites
    ]
    joint = joint_ridge(
        blocks,
        rows,
        task.validation,
        Y=np.eye(len(task.classes), dtype=np.float32)[task.codes[rows]],
        weight=task.weights(rows),
        ridges=RIDGES,
    )
    y, score = task.codes[task.validation], metric_of(task.class_weight)
    right = [score(y, scores.argmax(axis=1)) for scores in joint.scores]
    best = len(RIDGES) - 1 - int(_smooth(np.array([right]))[0, ::-1].argmax())
    chosen = np.zeros(joint.importance.shape[1], bool)
    chosen[keep_top(joint.importance[best], MOST_JOINT)] = True
    ends = np.cumsum([len(kept[site]) for site in sites])
    parts = np.split(chosen, ends[:-1])
    return {
        site: kept[site][part] for site, part in zip(sites, parts, strict=True)
    }


def nothing_selected() -> StcError:
    """The error for a task of which no site knows anything."""
    return StcError(
        "selection",
        expected="probes that give some neurons a weight",
        got="none: no site tells the labels better than their frequencies",
        remedy="Check the label column, or give more rows or more sites.",
    )


def _trust(probes: Sequence[ProbeResult], task: Task) -> dict[PooledSite, float]:
    """How far the probe of each site beats chance, relative to the best one, squared.

    Validation accuracies; never less than LEAST_TRUST ** TRUST_POWER. (SIREN, arXiv
    2604.18519, weighs layers by validation scores, too.)
    """
    held = task.codes[task.validation]
    chance = np.bincount(held).max() / len(held)
    gain = {p.pooled_site: p.val_accuracy[p.best] - chance for p in probes}
    most = max(gain.values())
    if most <= 0:
        return dict.fromkeys(gain, 1.0)
    return {
        site: float(max(above / most, LEAST_TRUST) ** TRUST_POWER)
        for site, above in gain.items()
    }


def _candidates(
    probes: Sequence[ProbeResult], trust: dict[PooledSite, float], eta: float, most: int
) -> dict[PooledSite, np.ndarray]:
    """Columns of each pooled site: a share eta of each layer, `most` in all at most.

    Over `most`, those stay whose weights count for most in the sites trusted most.
    """
    layers: dict[int, list[ProbeResult]] = {}
    for probe in sorted(probes, key=lambda probe: probe.pooled_site):
        layers.setdefault(probe.pooled_site.site.layer, []).append(probe)
    kept: dict[PooledSite, np.ndarray] = {}
    worth: dict[PooledSite, np.ndarray] = {}
    for group in layers.values():
        scores = [importance(probe.path.coef[probe.best]) for probe in group]
        kept |= _keep_in_layer(group, scores, eta)
        for probe, score in zip(group, scores, strict=True):
            site = probe.pooled_site
            worth[site] = score[kept[site]] * trust[site]
    every = np.concatenate(list(worth.values()))
    if len(every) <= most:
        return kept
    least = np.partition(every, -most)[-most]
    return {site: columns[worth[site] >= least] for site, columns in kept.items()}


def _keep_in_layer(
    group: Sequence[ProbeResult], scores: Sequence[np.ndarray], share: float
) -> dict[PooledSite, np.ndarray]:
    offsets = np.cumsum([0, *map(len, scores)])
    columns = np.sort(keep_mass(np.concatenate(scores), share))
    return {
        probe.pooled_site: columns[(columns >= low) & (columns < high)] - low
        for probe, low, high in zip(group, offsets, offsets[1:], strict=False)
    }


class _Search:
    """Validation scores of subsets of the candidates, all from one Gram matrix.

    Each subset is read by the very head that it would get, a least-squares ridge, so
    that a score costs a small solve and no pass over the training rows.
    """

    def __init__(self, task: Task, pool: Pool) -> None:
        self.pool = pool
        self.train = moments_of(pool.Z, task, task.train)
        self.Z_val = pool.Z[task.validation]
        self.y_val = task.codes[task.validation]
        self.weighted = task.class_weight is not None
        trial = self.trial(np.arange(len(pool.features)))
        best = float(trial.score.max())
        self.error = (best * (1 - best) / len(self.y_val)) ** 0.5
        self.ridge = RIDGES[trial.best]
        self.rank = importance(solve_ridge(self.train.gram, self.ridge).T)

    def counts(self, budget: int | None) -> list[int]:
        """How many neurons to try: powers of 2 and of 2^.5 up to all, or the budget."""
        most = min(budget or len(self.rank), np.count_nonzero(self.rank))
        steps = sorted({round(2 ** (i / 2)) for i in range(64)})
        few = [n for n in steps if n < most and (n >= 128 or n & (n - 1) == 0)]
        return [*few, int(most)]

    def at_depth(self, layer: int, n: int) -> Point:
        """The same number of neurons, re-selected from the layers up to `layer`."""
        below = np.flatnonzero(self.pool.layers <= layer)
        rank = importance(solve_ridge(self.train.gram.restricted(below), self.ridge).T)
        trial = self.trial(below[keep_top(rank, n)])
        return trial.point("depth")._replace(layer=layer)

    def trial(self, columns: Int[np.ndarray, " kept"]) -> "Trial":
        """How well these columns do under each ridge."""
        part = self.train.gram.restricted(columns)
        Z = self.Z_val[:, columns]
        right, f1 = [], []
        for ridge in RIDGES:
            scores = Z @ solve_ridge(part, ridge) + self.train.prior
            guess = scores.argmax(axis=1)
            right.append(accuracy(self.y_val, guess))
            f1.append(macro_f1(self.y_val, guess))
        deepest = int(self.pool.layers[columns].max())
        right, f1 = np.array(right), np.array(f1)
        return Trial(len(columns), deepest, right, f1, f1 if self.weighted else right)


class Trial(NamedTuple):
    """A subset of the candidates and its validation scores under each ridge."""

    neurons: int
    layer: int
    accuracy: Float[np.ndarray, " n_ridges"]
    macro_f1: Float[np.ndarray, " n_ridges"]
    score: Float[np.ndarray, " n_ridges"]  # what is chosen by: F1 with class weights

    @property
    def best(self) -> int:
        """The ridge with the best score, smoothed over its neighbours."""
        smooth = _smooth(self.score[None])[0]
        return len(RIDGES) - 1 - int(smooth[::-1].argmax())

    def point(self, curve: str, ridge: int | None = None) -> Point:
        at = self.best if ridge is None else ridge
        right, f1 = float(self.accuracy[at]), float(self.macro_f1[at])
        return Point(curve, self.neurons, self.layer, RIDGES[at], right, f1)


class Moments(NamedTuple):
    """The Gram matrix of some rows, their mean and the shares of the classes."""

    gram: Gram
    center: Float[np.ndarray, " d"]
    prior: Float[np.ndarray, " n_class"]


def moments_of(
    Z: Float[np.ndarray, "n d"], task: Task, rows: Int[np.ndarray, " some"]
) -> Moments:
    """What a ridge model needs to know of `rows`."""
    weights, codes, n_class = task.weights(rows), task.codes[rows], len(task.classes)
    prior = np.bincount(codes, weights, n_class) / weights.sum()
    return Moments(
        gram(Z[rows], codes, n_class=n_class, sample_weight=weights),
        np.average(Z[rows], axis=0, weights=weights).astype(np.float32),
        prior.astype(np.float32),
    )


class TemperedHead(NamedTuple):
    """A head whose logits have been divided by a temperature, and that temperature."""

    scaled: SparseHead
    temperature: float


def fit_head(
    X: Float[np.ndarray, "n d"],
    task: Task,
    features: Sequence[Feature],
    *,
    ridge: float,
    trust: Float[np.ndarray, " d"],
) -> tuple[TemperedHead, Float[np.ndarray, "n_val n_class"]]:
    """The head on raw columns X, and its validation logits before the refit.

    A least-squares ridge model of the classes, fitted on train, gets its temperature
    on validation; then it is fitted again on train and validation together.
    """
    first = fit_ridge_head(X, task, features, rows=task.train, ridge=ridge, trust=trust)
    logits = first.logits(X[task.validation])
    temperature = fit_temperature(logits, task.codes[task.validation])
    last = fit_ridge_head(
        X, task, features, rows=task.learned, ridge=ridge, trust=trust
    )
    return TemperedHead(last.cooled(temperature), temperature), logits / temperature


def fit_ridge_head(
    X: Float[np.ndarray, "n d"],
    task: Task,
    features: Sequence[Feature],
    *,
    rows: Int[np.ndarray, " some"],
    ridge: float,
    trust: Float[np.ndarray, " d"] | None = None,
) -> SparseHead:
    """A head fitted on `rows`, SHARPNESS times the least-squares class scores.

    The penalty on feature j is divided by trust_j^2; without trust all are equal.
    """
    mean, sd = standard(X[rows], task.weights(rows))
    scale = np.ones(X.shape[1], np.float32) if trust is None else trust
    moments = moments_of(((X - mean) / sd * scale).astype(np.float32), task, rows)
    W = solve_ridge(moments.gram, ridge).T * SHARPNESS
    bias = SHARPNESS * moments.prior - W @ moments.center
    return SparseHead(tuple(features), mean, sd, W * scale, bias, task.classes)
