"""The candidates: neurons to which the probe of a good site gives weight.

They reduce about 35,000 pooled neurons to some thousands, which are then ranked
together.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from stc_core.data.task import Read, Task
from stc_core.errors import StcError
from stc_core.heads.head import mean_and_sd, value_range
from stc_core.heads.kernel_ridge import Block, joint_ridge
from stc_core.heads.least_squares import RIDGES
from stc_core.metrics.scores import SAME_SCORE, last_best, metric_of
from stc_core.selection.importance import descending_order, keep_mass, keep_top, smooth
from stc_core.types import Feature, PooledSite

MOST_CANDIDATES = 4096, 16_384
"""The largest number of candidates, for few classes and for many: see
`most_candidates`."""
CANDIDATES_PER_CLASS = 256
MOST_JOINT = 8192
"""If there are more candidates, they are first ranked in the dual form, on at most
MOST_RANKED rows."""
MOST_RANKED = 12_000
TRUST_POWER = 2
LEAST_TRUST = 0.05
CANDIDATES_PER_ROW = 8
ETA = 0.99


@runtime_checkable
class Salient(Protocol):
    """What a selection needs to know of the best probe of a pooled site.

    A ProbeResult has it, and so has a `Salience`, which a run keeps.
    """

    @property
    def pooled_site(self) -> PooledSite: ...

    @property
    def importance(self) -> Float[np.ndarray, " width"]: ...

    @property
    def macro_f1(self) -> float: ...


class Pool(NamedTuple):
    """Candidate features, in computing order, with their values on all rows.

    `X` holds raw values and is the largest array of a selection. `mean`, `sd`, `low`
    and `high` are those of the training rows.
    """

    features: tuple[Feature, ...]
    X: Float[np.ndarray, "n d"]
    mean: Float[np.ndarray, " d"]
    sd: Float[np.ndarray, " d"]
    low: Float[np.ndarray, " d"]
    high: Float[np.ndarray, " d"]
    trust: Float[np.ndarray, " d"]
    layers: Int[np.ndarray, " d"]
    eta: float

    def standardised(
        self, rows: Int[np.ndarray, " some"]
    ) -> Float[np.ndarray, "some d"]:
        """These rows, standardised and then scaled by trust.

        Values outside the range of the training rows count as its nearer end, as in
        the head. The scaling makes a ridge penalty lighter on the neurons of sites
        whose probes do well.
        """
        Z = self.X[rows]
        np.clip(Z, self.low, self.high, out=Z)
        Z -= self.mean
        Z /= self.sd
        Z *= self.trust
        return Z


def gather_candidates(
    read: Read,
    task: Task,
    probes: Sequence[Salient],
    *,
    eta: float | None = None,
    narrow: bool = True,
) -> Pool:
    """The candidates of all layers, with their values.

    In each layer, over its sites and poolings together, they are the features that hold
    a share eta of the squared weights of the layer's best probes. If there are more
    than MOST_JOINT they are ranked first, which takes long. Without `narrow` at most
    half as many are gathered, in a quarter of the time.
    """
    most = most_candidates(len(task.classes), len(task.train))
    most = most if eta is None else MOST_CANDIDATES[1]
    most = most if narrow else min(most, MOST_JOINT) // 2
    trust_of = _trust(probes, task)
    kept = _candidates(probes, trust_of, eta or ETA, most)
    if sum(map(len, kept.values())) > MOST_JOINT:
        kept = _narrowed(read, task, kept, trust_of)
    features = tuple(
        Feature(pooled.site, pooled.pooling, int(index))
        for pooled, columns in kept.items()
        for index in columns
    )
    if not features:
        raise nothing_selected()
    layers = np.array([feature.site.layer for feature in features])
    trust = np.array([trust_of[PooledSite(f.site, f.pooling)] for f in features])
    trust = trust.astype(np.float32)
    values = _read(read, task, kept)
    return Pool(
        features, **values._asdict(), trust=trust, layers=layers, eta=eta or ETA
    )


class _Values(NamedTuple):
    """Values of columns on all rows, and what is known of each column on train."""

    X: Float[np.ndarray, "n d"]
    mean: Float[np.ndarray, " d"]
    sd: Float[np.ndarray, " d"]
    low: Float[np.ndarray, " d"]
    high: Float[np.ndarray, " d"]


def _read(read: Read, task: Task, kept: dict[PooledSite, np.ndarray]) -> _Values:
    """Values of the kept columns, filled site by site."""
    d = sum(map(len, kept.values()))
    weights, start = task.weights(task.train), 0
    X = np.empty((len(task.codes), d), np.float32)
    mean, sd, low, high = (np.empty(d, np.float32) for _ in range(4))
    for site, columns in kept.items():
        if not len(columns):
            continue
        span = slice(start, start := start + len(columns))
        X[:, span] = values = read(site)[:, columns]
        rows = values[task.train]
        mean[span], sd[span] = mean_and_sd(rows, weights)
        low[span], high[span] = value_range(rows)
    return _Values(X, mean, sd, low, high)


def most_candidates(n_class: int, n_train: int) -> int:
    """The largest number of neurons to look at together; it grows with the classes.

    Measured: 77 classes (banking77) lose 1.5 points of accuracy with 4,096 candidates;
    6 classes (trec) gain nothing from more.
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
    """The MOST_JOINT candidates with the most importance in a ridge model of all.

    The ridge is chosen on validation. The model is fitted on at most MOST_RANKED evenly
    spaced training rows, since its cost grows with the cube of their number.
    """
    rows = task.train[:: -(-len(task.train) // MOST_RANKED)]
    sites = [site for site, columns in kept.items() if len(columns)]
    blocks = [
        Block(lambda s=site: read(s)[:, kept[s]], len(kept[site]), trust[site])
        for site in sites
    ]
    joint = joint_ridge(blocks, task, rows, others=task.validation, ridges=RIDGES)
    y, score = task.codes[task.validation], metric_of(task.class_weight)
    validation_scores = [score(y, scores.argmax(axis=1)) for scores in joint.scores]
    best = last_best(smooth(np.array([validation_scores]))[0])
    chosen = np.zeros(joint.importance.shape[1], bool)
    chosen[keep_top(joint.importance[best], MOST_JOINT)] = True
    ends = np.cumsum([len(kept[site]) for site in sites])
    parts = np.split(chosen, ends[:-1])
    return {site: kept[site][part] for site, part in zip(sites, parts, strict=True)}


def nothing_selected() -> StcError:
    """The error for a task about which no site knows anything."""
    return StcError(
        "labels",
        expected="labels that the neurons of some layer can tell apart",
        got="no site predicts the labels better than their frequencies do",
        remedy="Perhaps the same texts carry several labels, or the labels have "
        "nothing to do with the text: run `stc data check` on the table. "
        "Otherwise try more rows, other kinds of sites, or another model.",
    )


def _trust(probes: Sequence[Salient], task: Task) -> dict[PooledSite, float]:
    """How far the probe of each site beats chance, relative to the best probe, squared.

    Measured in macro-F1 on validation, for which chance is one over the number of
    classes. Accuracy would not do: with one frequent class, accuracies lie so little
    above its share that one more correct text made one site trusted and all others not
    (edos: 3 to 5 points of macro-F1). The result is never less than LEAST_TRUST **
    TRUST_POWER. (SIREN, arXiv 2604.18519, weighs layers by validation scores, too.)
    """
    chance = 1 / len(task.classes)
    gains = {p.pooled_site: p.macro_f1 - chance for p in probes}
    largest = max(gains.values())
    if largest <= SAME_SCORE:
        return dict.fromkeys(gains, 1.0)
    return {
        site: float(max(above / largest, LEAST_TRUST) ** TRUST_POWER)
        for site, above in gains.items()
    }


def _candidates(
    probes: Sequence[Salient], trust: dict[PooledSite, float], eta: float, most: int
) -> dict[PooledSite, np.ndarray]:
    """Columns of each pooled site: a share eta of each layer, `most` in all at most.

    If there are more than `most`, those with the largest product of importance and
    trust stay.
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
    all_worth = np.concatenate(list(worth.values()))
    if len(all_worth) <= most:
        return kept
    chosen = np.zeros(len(all_worth), bool)
    chosen[descending_order(all_worth)[:most]] = True
    kept_parts = np.split(
        chosen, np.cumsum([len(part) for part in worth.values()])[:-1]
    )
    return {
        site: kept[site][part] for site, part in zip(worth, kept_parts, strict=True)
    }


def _keep_in_layer(
    group: Sequence[Salient], scores: Sequence[np.ndarray], share: float
) -> dict[PooledSite, np.ndarray]:
    """Columns of each site that hold a `share` of the importance in the whole layer."""
    offsets = np.cumsum([0, *map(len, scores)])
    columns = np.sort(keep_mass(np.concatenate(scores), share))
    return {
        probe.pooled_site: columns[(columns >= low) & (columns < high)] - low
        for probe, low, high in zip(group, offsets, offsets[1:], strict=False)
    }
