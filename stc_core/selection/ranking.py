"""Which neurons count most together: one ridge model of all columns ranks them.

Every depth has its own ranking, and so has every fold: a row is never judged by neurons
that were chosen with it.
"""

from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from stc_core.data.task import Read, Task
from stc_core.errors import StcError
from stc_core.heads.head import mean_and_sd
from stc_core.heads.kernel_ridge import add_products
from stc_core.heads.least_squares import MOST_TINY, importance, solve_positive
from stc_core.heads.leave_one_out import leave_one_out
from stc_core.heads.parallel import in_threads
from stc_core.metrics.scores import SAME_SCORE, macro_f1
from stc_core.selection.folds import (
    Fold,
    digests,
    judging_folds,
    stratified_order,
)
from stc_core.selection.importance import keep_mass, keep_top
from stc_core.selection.salience import Salient
from stc_core.selection.use.attribution import ModelUse, weigh_use
from stc_core.types import Feature, PooledSite

MOST_KEPT = 4096, 8192
"""The most neurons of a classifier, for few classes and for many: see `most_kept`."""
KEPT_PER_CLASS = 256
MOST_RANKED = 6000
"""Neurons are ranked on at most so many rows: the time grows with their square."""
MOST_TRUSTING = 500
"""The trust in a site is measured on at most so many rows."""
TRUST_RIDGES = (0.1, 1.0)
TRUST_POWER = 2
LEAST_TRUST = 0.05
RANKING_RIDGE = 1.0
"""The ridge of the model that ranks. Chosen on each set it ranks no better: measured on
five sets with 300 and 1,000 rows, the fixed one is .2 points ahead."""


class Ranking(NamedTuple):
    """The columns of the sites up to a depth, the most important ones first.

    `by_fold` has a ranking for each fold, made without its held rows; `final` is made
    of all learned rows. All hold column numbers of `JointColumns`.
    """

    by_fold: tuple[Int[np.ndarray, " _"], ...]
    final: Int[np.ndarray, " _"]


class JointColumns:
    """The columns of all pooled sites, numbered one after another in computing order.

    A model reads a column standardised and multiplied by the trust in its site, which
    makes the penalty on it lighter. `trust` has a row for each fold, from the rows that
    its models are fitted on, then one from all learned rows; and a column for each
    site. With `eta` only the columns that hold this share of each layer's squared probe
    weights count. With `use` a ranking also weighs how much the model uses a column, by
    rows of the same fit. A row that occurs several times in a fit counts as often.
    """

    def __init__(
        self,
        read: Read,
        task: Task,
        probes: Sequence[Salient],
        *,
        eta: float | None = None,
        budget: int | None = None,
        folds: Sequence[Fold] | None = None,
        trusting: int = MOST_TRUSTING,
        use: ModelUse | None = None,
    ) -> None:
        ordered = sorted(probes, key=lambda probe: probe.pooled_site)
        if not any(probe.importance.any() for probe in ordered):
            raise nothing_selected()
        self.read, self.task, self.eta = read, task, eta
        self.budget = budget or 0
        self.sites = [probe.pooled_site for probe in ordered]
        widths = [len(probe.importance) for probe in ordered]
        self.ends = np.cumsum(widths)
        self.starts = self.ends - widths
        self.layer = np.repeat([site.site.layer for site in self.sites], widths)
        self.depths = sorted(set(self.layer.tolist()))
        self.counts = np.ones(len(self.layer), bool)
        if eta is not None:
            self.counts = np.concatenate(_share_of_layers(ordered, eta))
        self.folds = tuple(self._judging() if folds is None else folds)
        self.trust = _trust(read, task, self.sites, self.fits, most=trusting)
        self.use = use
        self._moments: dict[PooledSite, tuple[np.ndarray, np.ndarray]] = {}

    @property
    def fits(self) -> list[Int[np.ndarray, " _"]]:
        """The rows that the models of each fold are fitted on, then all learned
        ones."""
        return [*(fold.fit for fold in self.folds), self.task.learned]

    def _judging(self) -> Sequence[Fold]:
        """The folds that judge; neurons limited by probes, which have seen the training
        rows, are judged by validation alone."""
        if self.eta is not None:
            return (Fold(self.task.train, self.task.validation),)
        return judging_folds(self.task, digests(self.read(self.sites[-1])))

    def most(self, depth: int) -> int:
        """The most neurons of a classifier of this depth."""
        most = most_kept(len(self.task.classes))
        most = most if depth >= self.depths[-1] else most // 2
        return max(most, self.budget)

    def at(self, number: int) -> Feature:
        """The feature with this column number."""
        place = int(np.searchsorted(self.ends, number, side="right"))
        site = self.sites[place]
        return Feature(site.site, site.pooling, int(number - self.starts[place]))

    def numbers(self, features: Sequence[Feature]) -> Int[np.ndarray, " n"]:
        """The column numbers of these features; the inverse of `at`."""
        start = dict(zip(self.sites, self.starts.tolist(), strict=True))
        return np.array(
            [start[PooledSite(f.site, f.pooling)] + f.index for f in features], int
        )

    def trust_of(
        self, columns: Int[np.ndarray, " k"], fit: int = -1
    ) -> Float[np.ndarray, " k"]:
        """The trust in each of these columns, by the rows of a fold or by all."""
        return self.trust[fit, np.searchsorted(self.ends, columns, side="right")]

    def values(self, columns: Int[np.ndarray, " k"]) -> Float[np.ndarray, "n k"]:
        """The raw values of these columns, which ascend, on all rows."""
        X = np.empty((len(self.task.codes), len(columns)), np.float32)
        place = np.searchsorted(self.ends, columns, side="right")
        for number, site in enumerate(self.sites):
            if (own := place == number).any():
                X[:, own] = self.read(site)[:, columns[own] - self.starts[number]]
        return X

    def block(
        self, place: int, rows: Int[np.ndarray, " some"]
    ) -> Float[np.ndarray, "some width"]:
        """The columns of the site at this place, standardised on all learned rows.

        Columns that do not count are zero.
        """
        site = self.sites[place]
        X = self.read(site)
        if site not in self._moments:
            learned = self.task.learned
            weights = self.task.weights(learned)
            self._moments[site] = mean_and_sd(X[learned], weights)
        mean, sd = self._moments[site]
        Z = X[rows]
        Z -= mean
        Z /= sd
        Z[:, ~self.counts[self.starts[place] : self.ends[place]]] = 0
        return Z


def rank_columns(columns: JointColumns, depths: Iterable[int]) -> Mapping[int, Ranking]:
    """The rankings of the columns at each of these depths, by depth.

    A column counts as much as the squared weights that a ridge model of all columns up
    to the depth gives it (`importance`), in the dual form: so the sites are read twice,
    whatever the number of folds and depths. At most MOST_RANKED of the learned rows are
    looked at.
    """
    wanted = sorted(depths)
    rows = _some(columns.task, MOST_RANKED)
    dual = _dual_weights(columns, wanted, rows)
    found = _importances(columns, wanted, rows, dual)
    rankings: dict[int, Ranking] = {}
    for depth in wanted:
        by_fit = [keep_top(scores, columns.most(depth)) for scores in found[depth]]
        rankings[depth] = Ranking(tuple(by_fit[:-1]), by_fit[-1])
    return rankings


def importances_of(columns: JointColumns, depth: int) -> Float[np.ndarray, "n_fits d"]:
    """The importance of each column in the ranking model of each fold, then of all
    learned rows.

    Columns above the depth have none.
    """
    rows = _some(columns.task, MOST_RANKED)
    dual = _dual_weights(columns, [depth], rows)
    return _importances(columns, [depth], rows, dual)[depth]


def _some(task: Task, most: int) -> Int[np.ndarray, " some"]:
    """At most so many of the learned rows, ascending, each class in proportion."""
    learned = np.sort(task.learned)
    if len(learned) <= most:
        return learned
    return np.sort(stratified_order(task.codes, learned, seed=0)[:most])


def _dual_weights(
    columns: JointColumns,
    depths: Sequence[int],
    rows: Int[np.ndarray, " n"],
) -> dict[int, Float[np.ndarray, "n _"]]:
    """Weights of the rows in the ranking models of each depth, fit after fit.

    Rows that a fit leaves out have the weight 0.
    """
    n, found = len(rows), {}
    fits = [_times(rows, fit) for fit in columns.fits]
    products = np.zeros((len(fits), n, n), np.float32)
    layers = [site.site.layer for site in columns.sites]
    places = [place for place, layer in enumerate(layers) if layer <= depths[-1]]
    for place in places:
        own = np.zeros((n, n), np.float32)
        add_products(own, columns.block(place, rows))
        _add_trusted(products, own, columns.trust[:, place])
        layer = layers[place]
        ends_layer = place + 1 == len(layers) or layers[place + 1] > layer
        if ends_layer and layer in depths:
            parts = in_threads(
                lambda number: _dual(
                    columns.task, products[number], rows, fits[number]
                ),
                range(len(fits)),
            )
            found[layer] = np.concatenate(parts, axis=1)
    return found


def _add_trusted(
    products: Float[np.ndarray, "n_fits n n"],
    own: Float[np.ndarray, "n n"],
    trust: Float[np.ndarray, " n_fits"],
) -> None:
    """Add the inner products of one site to those of each fit, by its trust squared."""

    def add(number: int) -> None:
        products[number] += own * trust[number] ** 2

    in_threads(add, range(len(products)))


def _dual(
    task: Task,
    products: Float[np.ndarray, "n n"],
    rows: Int[np.ndarray, " n"],
    times: Int[np.ndarray, " n"],
) -> Float[np.ndarray, "n n_class"]:
    """The weights of the rows in one ranking model; `products` has a lower triangle.

    A row counts as many `times`, 0 for one that the fit leaves out.
    """
    own = np.flatnonzero(times)
    weight = _weights(task, rows[own], times[own])
    G = _centred_products(products[np.ix_(own, own)], weight)
    share = weight / weight.sum()
    Y = np.eye(len(task.classes), dtype=np.float32)[task.codes[rows[own]]]
    root = np.sqrt(weight)[:, None]
    penalty = RANKING_RIDGE * float(np.trace(G)) / float(weight.sum())
    if penalty <= MOST_TINY:  # no column varies
        return np.zeros((len(rows), Y.shape[1]), np.float32)
    dual = solve_positive(G, penalty, (Y - share @ Y) * root) * root
    out = np.zeros((len(rows), Y.shape[1]), np.float32)
    out[own] = dual - share[:, None] * dual.sum(axis=0)
    return out


def _times(
    rows: Int[np.ndarray, " n"], fit: Int[np.ndarray, " _"]
) -> Int[np.ndarray, " n"]:
    """How often each of the rows occurs in a fit."""
    return np.bincount(fit, minlength=int(rows.max()) + 1)[rows]


def _weights(
    task: Task, rows: Int[np.ndarray, " some"], times: Int[np.ndarray, " some"]
) -> Float[np.ndarray, " some"]:
    """The weights of rows that occur so many times, as if they were repeated."""
    of_class = task.class_weights(np.repeat(rows, times))
    return of_class[task.codes[rows]] * times.astype(of_class.dtype)


def _centred_products(
    products: Float[np.ndarray, "n n"], weight: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n n"]:
    """The inner products of the rows less their mean, times the roots of the weights.

    Only the lower triangle of `products` is read.
    """
    G = np.tril(products)
    G += np.tril(G, -1).T
    share = weight.astype(np.float64) / weight.sum(dtype=np.float64)
    mean = G @ share
    root = np.sqrt(weight)
    centred = G - mean.astype(np.float32) - mean.astype(np.float32)[:, None]
    centred += np.float32(share @ mean)
    return centred * root * root[:, None]


def _importances(
    columns: JointColumns,
    depths: Sequence[int],
    rows: Int[np.ndarray, " n"],
    dual: Mapping[int, Float[np.ndarray, "n _"]],
) -> dict[int, Float[np.ndarray, "n_fits d"]]:
    """The importance of each column in the models of each depth; 0 above the depth."""
    n_fits, n_columns = len(columns.trust), len(columns.layer)
    found = {depth: np.zeros((n_fits, n_columns), np.float32) for depth in depths}
    for place, site in enumerate(columns.sites):
        reading = [depth for depth in depths if depth >= site.site.layer]
        if not reading:
            continue
        Z = columns.block(place, rows)
        span = slice(columns.starts[place], columns.ends[place])
        trust = columns.trust[:, place]
        for depth in reading:
            weights = (dual[depth].T @ Z).reshape(n_fits, -1, Z.shape[1])
            own = np.stack([importance(of_fit) for of_fit in weights])
            found[depth][:, span] = own * trust[:, None] ** 2
    if columns.use is not None:
        for number, fit in enumerate(columns.fits):
            used = columns.use.of(fit, columns.sites)
            for scores in found.values():
                scores[number] = weigh_use(scores[number], used, columns.use.weight)
    return found


def _trust(
    read: Read,
    task: Task,
    sites: Sequence[PooledSite],
    fits: Sequence[Int[np.ndarray, " _"]],
    *,
    most: int = MOST_TRUSTING,
) -> Float[np.ndarray, "n_fits n_site"]:
    """How far each site alone beats chance, relative to the best site, squared.

    A site is judged by ridge models of its columns, by leave-one-out over the rows of a
    fit, so that no fold knows the labels of its held rows: the better macro-F1 of
    TRUST_RIDGES, for which chance is one over the number of classes. Accuracy would not
    do: with one frequent class, accuracies lie so little above its share that one more
    correct text made one site trusted and all others not. The result is never less than
    LEAST_TRUST ** TRUST_POWER. (SIREN, arXiv 2604.18519, weighs layers by validation
    scores, too.)
    """
    rows = _some(task, most)
    inside = [_times(rows, fit) for fit in fits]
    reading = Lock()  # else each thread would hold a site as a whole

    def gains_of(site: PooledSite) -> list[float]:
        with reading:
            X = read(site)[rows]
        return _gains(X, task, rows, inside)

    gains = np.array(in_threads(gains_of, sites)).T
    largest = gains.max(axis=1, keepdims=True)
    knows = largest > SAME_SCORE
    shares = np.divide(gains, largest, out=np.ones_like(gains), where=knows)
    return (np.maximum(shares, LEAST_TRUST) ** TRUST_POWER).astype(np.float32)


def _gains(
    X: Float[np.ndarray, "n width"],
    task: Task,
    rows: Int[np.ndarray, " n"],
    inside: Sequence[Int[np.ndarray, " _"]],
) -> list[float]:
    """The macro-F1 above chance of a site, for each fit: how often it has each row."""
    mean, sd = mean_and_sd(X, task.weights(rows))
    Z = (X - mean) / sd
    products, chance, found = Z @ Z.T, 1 / len(task.classes), []
    for times in inside:
        own = np.flatnonzero(times)
        if not len(own):
            found.append(0.0)
            continue
        codes, weight = task.codes[rows[own]], _weights(task, rows[own], times[own])
        scores = leave_one_out(
            _centred_products(products[np.ix_(own, own)], weight),
            codes,
            n_class=len(task.classes),
            sample_weight=weight,
            ridges=TRUST_RIDGES,
        )
        found.append(
            max(macro_f1(codes, one.argmax(axis=1)) for one in scores) - chance
        )
    return found


def _share_of_layers(
    probes: Sequence[Salient], share: float
) -> list[Bool[np.ndarray, " _"]]:
    """For each probe's site the columns that hold a `share` of their layer's
    importance.

    A layer's sites and poolings are counted together. Source: Sparsify-then-Classify,
    section 3.
    """
    flags = [np.zeros(len(probe.importance), bool) for probe in probes]
    for layer in {probe.pooled_site.site.layer for probe in probes}:
        own = [i for i, p in enumerate(probes) if p.pooled_site.site.layer == layer]
        scores = np.concatenate([probes[i].importance for i in own])
        kept = np.zeros(len(scores), bool)
        kept[keep_mass(scores, share)] = True
        ends = np.cumsum([len(flags[i]) for i in own])
        for i, part in zip(own, np.split(kept, ends[:-1]), strict=True):
            flags[i] = part
    return flags


def most_kept(n_class: int) -> int:
    """The most neurons of a classifier; it grows with the classes.

    Measured on eight sets with 1,000 rows: 2,896 neurons are within .3 points of 5,792,
    except with 150 classes (.8); all 35,712 are .6 points worse.
    """
    few, many = MOST_KEPT
    return min(max(few, KEPT_PER_CLASS * n_class), many)


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
