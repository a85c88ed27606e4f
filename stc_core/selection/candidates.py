"""The candidates: neurons that single probes weigh, of sites that do well.

From 35,000 pooled neurons to some thousands that are then looked at together.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from stc_core.data.task import Read, Task
from stc_core.errors import StcError
from stc_core.heads.head import standard
from stc_core.heads.kernel_ridge import Block, joint_ridge
from stc_core.heads.least_squares import RIDGES
from stc_core.metrics.scores import SAME_SCORE, last_best, metric_of
from stc_core.selection.importance import descending, keep_mass, keep_top, smooth
from stc_core.types import Feature, PooledSite

MOST_CANDIDATES = 4096, 16_384
"""At most so many for few classes, and for many: see `most_candidates`."""
CANDIDATES_PER_CLASS = 256
MOST_JOINT = 8192
"""More candidates are first ranked in the dual form, MOST_RANKED rows at most."""
MOST_RANKED = 12_000
TRUST_POWER = 2
LEAST_TRUST = 0.05
CANDIDATES_PER_ROW = 8
ETA = 0.99


@runtime_checkable
class Salient(Protocol):
    """What the best probe of a pooled site says: all that a selection needs of it.

    A ProbeResult is one, and so is a `Salience`, which a run keeps.
    """

    @property
    def pooled_site(self) -> PooledSite: ...

    @property
    def importance(self) -> Float[np.ndarray, " width"]: ...

    @property
    def macro_f1(self) -> float: ...


class Pool(NamedTuple):
    """Candidate features, in computing order; mean and sd are those on train.

    X, all rows of them as they are, is the largest thing that a selection holds.
    """

    features: tuple[Feature, ...]
    X: Float[np.ndarray, "n d"]
    mean: Float[np.ndarray, " d"]
    sd: Float[np.ndarray, " d"]
    trust: Float[np.ndarray, " d"]
    layers: Int[np.ndarray, " d"]
    eta: float

    def standardised(
        self, rows: Int[np.ndarray, " some"]
    ) -> Float[np.ndarray, "some d"]:
        """These rows, standardised and then scaled by trust.

        So that a ridge penalty falls more lightly on the neurons of sites whose probes
        do well.
        """
        Z = self.X[rows]
        Z -= self.mean
        Z /= self.sd
        Z *= self.trust
        return Z


def gather(
    read: Read,
    task: Task,
    probes: Sequence[Salient],
    *,
    eta: float | None = None,
    narrow: bool = True,
) -> Pool:
    """The candidates of all layers, read.

    For each layer, over its sites and poolings together, the features that hold a
    share eta of the squared weights of the layer's best probes. More than MOST_JOINT
    are ranked first, which takes long; without `narrow` half as many are gathered at
    most, for a quarter of the time.
    """
    most = most_candidates(len(task.classes), len(task.train))
    most = most if eta is None else MOST_CANDIDATES[1]
    most = most if narrow else min(most, MOST_JOINT) // 2
    trusted = _trust(probes, task)
    kept = _candidates(probes, trusted, eta or ETA, most)
    if sum(map(len, kept.values())) > MOST_JOINT:
        kept = _narrowed(read, task, kept, trusted)
    features = tuple(
        Feature(pooled.site, pooled.pooling, int(index))
        for pooled, columns in kept.items()
        for index in columns
    )
    if not features:
        raise nothing_selected()
    layers = np.array([feature.site.layer for feature in features])
    trust = np.array([trusted[PooledSite(f.site, f.pooling)] for f in features])
    trust = trust.astype(np.float32)
    return Pool(features, *_read(read, task, kept), trust, layers, eta or ETA)


def _read(
    read: Read, task: Task, kept: dict[PooledSite, np.ndarray]
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
    """The columns that are kept, filled site by site; their mean and sd on train."""
    d = sum(map(len, kept.values()))
    weights, start = task.weights(task.train), 0
    X = np.empty((len(task.codes), d), np.float32)
    mean, sd = (np.empty(d, np.float32) for _ in range(2))
    for site, columns in kept.items():
        if not len(columns):
            continue
        own = slice(start, start := start + len(columns))
        X[:, own] = part = read(site)[:, columns]
        mean[own], sd[own] = standard(part[task.train], weights)
    return X, mean, sd


def most_candidates(n_class: int, n_train: int) -> int:
    """How many neurons are looked at together: more for more classes to tell apart.

    77 classes lose 1.5 points of accuracy with 4,096 candidates; 6 gain nothing from
    more (banking77, trec).
    """
    few, many = MOST_CANDIDATES
    wanted = min(max(few, CANDIDATES_PER_CLASS * n_class), many)
    return min(wanted, CANDIDATES_PER_ROW * n_train)


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
        Block(lambda s=site: read(s)[:, kept[s]], len(kept[site]), trust[site])
        for site in sites
    ]
    joint = joint_ridge(blocks, task, rows, others=task.validation, ridges=RIDGES)
    y, score = task.codes[task.validation], metric_of(task.class_weight)
    right = [score(y, scores.argmax(axis=1)) for scores in joint.scores]
    best = last_best(smooth(np.array([right]))[0])
    chosen = np.zeros(joint.importance.shape[1], bool)
    chosen[keep_top(joint.importance[best], MOST_JOINT)] = True
    ends = np.cumsum([len(kept[site]) for site in sites])
    parts = np.split(chosen, ends[:-1])
    return {site: kept[site][part] for site, part in zip(sites, parts, strict=True)}


def nothing_selected() -> StcError:
    """The error for a task of which no site knows anything."""
    return StcError(
        "labels",
        expected="classes that the neurons of some layer tell apart",
        got="none: no site tells the labels better than their frequencies",
        remedy="Perhaps the same texts carry several labels, or the labels have "
        "nothing to do with the text: see what `stc data check` finds in the table. "
        "Else give more rows, other kinds of sites, or another model.",
    )


def _trust(probes: Sequence[Salient], task: Task) -> dict[PooledSite, float]:
    """How far the probe of each site beats chance, relative to the best one, squared.

    Macro-F1 on validation, which guessing brings to one over the number of classes.
    Where one class is frequent, accuracies lie so close above its share that one text
    more made one site trusted and all others not (edos: 3 to 5 points of macro-F1).
    Never less than LEAST_TRUST ** TRUST_POWER. (SIREN, arXiv 2604.18519, weighs layers
    by validation scores, too.)
    """
    chance = 1 / len(task.classes)
    gain = {p.pooled_site: p.macro_f1 - chance for p in probes}
    most = max(gain.values())
    if most <= SAME_SCORE:
        return dict.fromkeys(gain, 1.0)
    return {
        site: float(max(above / most, LEAST_TRUST) ** TRUST_POWER)
        for site, above in gain.items()
    }


def _candidates(
    probes: Sequence[Salient], trust: dict[PooledSite, float], eta: float, most: int
) -> dict[PooledSite, np.ndarray]:
    """Columns of each pooled site: a share eta of each layer, `most` in all at most.

    Over `most`, those stay whose weights count for most in the sites trusted most.
    """
    layers: dict[int, list[Salient]] = {}
    for probe in sorted(probes, key=lambda probe: probe.pooled_site):
        layers.setdefault(probe.pooled_site.site.layer, []).append(probe)
    kept: dict[PooledSite, np.ndarray] = {}
    worth: dict[PooledSite, np.ndarray] = {}
    for group in layers.values():
        scores = [probe.importance for probe in group]
        kept |= _keep_in_layer(group, scores, eta)
        for probe, score in zip(group, scores, strict=True):
            site = probe.pooled_site
            worth[site] = score[kept[site]] * trust[site]
    every = np.concatenate(list(worth.values()))
    if len(every) <= most:
        return kept
    chosen = np.zeros(len(every), bool)
    chosen[descending(every)[:most]] = True
    parts = np.split(chosen, np.cumsum([len(part) for part in worth.values()])[:-1])
    return {site: kept[site][part] for site, part in zip(worth, parts, strict=True)}


def _keep_in_layer(
    group: Sequence[Salient], scores: Sequence[np.ndarray], share: float
) -> dict[PooledSite, np.ndarray]:
    offsets = np.cumsum([0, *map(len, scores)])
    columns = np.sort(keep_mass(np.concatenate(scores), share))
    return {
        probe.pooled_site: columns[(columns >= low) & (columns < high)] - low
        for probe, low, high in zip(group, offsets, offsets[1:], strict=False)
    }
