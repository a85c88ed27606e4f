"""The rows of a large corpus on which neurons are chosen, and how many are enough.

A small corpus is its own sample. Of a large one every site is extracted for a
stratified sample alone, which doubles as long as doubling is seen to help.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.activations.row_file import Rows, write_rows
from stc_core.activations.store import FeatureStore
from stc_core.backbone.backbone import Backbone
from stc_core.data.task import Task
from stc_core.data.texts import Texts
from stc_core.heads.head import standard
from stc_core.heads.least_squares import RIDGES, solve_ridge
from stc_core.heads.ridge import moments
from stc_core.metrics.scores import metric_of
from stc_core.selection.stc import Fitted
from stc_core.selection.streaming import ReadRows, activation_blocks, refit
from stc_core.types import PooledSite, Progress, silent

LARGE = 40_000
"""Rows of all splits from which on a corpus is sampled."""
FIRST = 20_000
MOST_VALIDATION, MOST_TEST = 5_000, 5_000
_MOST_BYTES = 1 << 28
"""Of the widest pooled site on the sampled training rows: probes hold some copies."""
EACH = 10
"""Rows of every class that come first, however rare it is."""
CURVE_COLUMNS = 2048

Extract = Callable[[Sequence[str]], FeatureStore]


class Sample(NamedTuple):
    """Places in the corpus, in the order of `store` and of the rows of `task`.

    `test` are the sampled test rows, which choose nothing: baselines are scored there.
    """

    rows: Int[np.ndarray, " k"]
    store: "FeatureStore | _Stack"
    task: Task
    test: Int[np.ndarray, " k_test"]
    notes: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the corpus is its own sample."""
        return not isinstance(self.store, _Stack)

    def known(self, n: int) -> Int[np.ndarray, " n"]:
        """For each of the n rows of the corpus its place in the sample, or -1."""
        places = np.full(n, -1)
        places[self.rows] = np.arange(len(self.rows))
        return places


class _Stack:
    """Stores of one text after another, read as one."""

    def __init__(self, parts: Sequence[FeatureStore]) -> None:
        self.parts = tuple(parts)
        self.widths = parts[0].widths
        self.notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
        self.starts = np.cumsum([0, *(part.n for part in parts)])
        self.n = int(self.starts[-1])

    def read(
        self, pooled_site: PooledSite, rows: Int[np.ndarray, " k"] | None = None
    ) -> Float[np.ndarray, "k width"]:
        """Float32 features of the texts at `rows` (None: all), in that order."""
        if rows is None:
            return np.concatenate([part.read(pooled_site) for part in self.parts])
        out = np.empty((len(rows), self.widths[pooled_site]), np.float32)
        for part, start in zip(self.parts, self.starts, strict=False):
            here = np.flatnonzero((rows >= start) & (rows < start + part.n))
            if len(here):
                out[here] = part.read(pooled_site, rows[here] - start)
        return out


def draw(
    texts: Texts,
    task: Task,
    test: Int[np.ndarray, " n_test"],
    *,
    extract: Extract,
    seed: int,
) -> Sample:
    """The sample of a corpus, with all its features extracted by `extract`.

    Up to LARGE rows it is all of them, in their order. Else FIRST training rows and
    some of the others; the former are doubled until that raises the validation score
    of a simple model by no more than a standard error.
    """
    if len(texts) <= LARGE:
        store = extract(texts)
        return Sample(np.arange(len(texts)), store, task, test, store.notes)
    order = stratified(task.codes, task.train, seed=seed)
    others = [
        stratified(task.codes, task.validation, seed=seed)[:MOST_VALIDATION],
        stratified(task.codes, test, seed=seed)[:MOST_TEST],
    ]
    n, parts = min(FIRST, len(order)), [np.concatenate([order[:FIRST], *others])]
    stores = [extract(texts.at(parts[0]))]
    most = _MOST_BYTES // (4 * max(stores[0].widths.values()))
    while True:
        sample = _sample(task, parts, stores, n_train=n, n_validation=len(others[0]))
        gain, error = last_gain(sample.store.read, sample.store.widths, sample.task)
        note = (
            f"Neurons are chosen on {n:,} of {len(order):,} training rows: the last "
            f"doubling changed validation by {100 * gain:+.1f} points, with a standard "
            f"error of {100 * error:.1f}."
        )
        if gain <= error or n == len(order) or 2 * n > most:
            return sample._replace(notes=(*sample.store.notes, note))
        parts.append(order[n : 2 * n])
        n = min(2 * n, len(order))
        stores.append(extract(texts.at(parts[-1])))


def _sample(
    task: Task,
    parts: Sequence[np.ndarray],
    stores: Sequence[FeatureStore],
    *,
    n_train: int,
    n_validation: int,
) -> Sample:
    """`parts` begin with train, validation and test rows; more train rows follow."""
    rows = np.concatenate(parts)
    places = np.arange(len(rows))
    begun = n_train - sum(map(len, parts[1:]))
    held, seen = begun + n_validation, len(parts[0])
    small = Task(
        task.codes[rows],
        task.classes,
        np.concatenate([places[:begun], places[seen:]]),
        places[begun:held],
        task.class_weight,
    )
    return Sample(rows, _Stack(stores), small, places[held:seen])


def on_all_rows(
    sample: Sample,
    fitted: Fitted,
    *,
    backbone: Backbone,
    texts: Texts,
    task: Task,
    path: Path,
    progress: Progress = silent,
) -> tuple[Rows, Fitted]:
    """Values of the kept neurons on all texts, in `path`, and the head for all of them.

    Values are computed where the sample has none. What was fitted on a true sample is
    fitted again on all rows of `task`; on a corpus that is its own it stays.
    """
    features = fitted.head.features
    blocks = activation_blocks(
        backbone,
        texts,
        features,
        read=sample.store.read,
        known=sample.known(len(texts)),
        progress=progress,
    )
    rows = write_rows(path, blocks, n=len(texts), width=len(features))
    return rows, fitted if sample.is_whole else refit(rows, task, fitted)


def stratified(
    codes: Int[np.ndarray, " n"], rows: Int[np.ndarray, " some"], *, seed: int
) -> Int[np.ndarray, " some"]:
    """`rows` in an order of which every beginning has each class in proportion.

    The first EACH rows of every class come before all others.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(rows)
    of_class = np.argsort(codes[shuffled], kind="stable")
    shuffled = shuffled[of_class]
    counts = np.unique(codes[shuffled], return_counts=True)[1]
    size = np.repeat(counts, counts)
    rank = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    # A row's place in its class, as a share; a little luck, or small classes go last.
    share = (rank + rng.random(len(rows))) / size
    return shuffled[np.lexsort((share, rank >= EACH))]


def last_gain(
    read: ReadRows, widths: dict[PooledSite, int], task: Task
) -> tuple[float, float]:
    """What the second half of the training rows adds on validation; its error.

    Of a ridge model on some sites that span the layers: cheap, and enough to see
    whether more rows still help.
    """
    sites = _spanning(widths)
    n = len(task.train)
    rows = task.learned
    X = np.concatenate([read(site, rows) for site in sites], axis=1)
    mean, sd = standard(X[:n])
    X -= mean
    X /= sd
    part = Task(
        task.codes[rows],
        task.classes,
        np.arange(n),
        np.arange(n, len(rows)),
        task.class_weight,
    )
    half, whole = (_score(X, part, part.train[:size]) for size in (n // 2, n))
    return whole - half, (whole * (1 - whole) / len(task.validation)) ** 0.5


def _score(
    Z: Float[np.ndarray, "n d"], task: Task, rows: Int[np.ndarray, " some"]
) -> float:
    """The best validation score of ridge models fitted on `rows`."""
    known, metric = moments(Z[rows], task, rows), metric_of(task.class_weight)
    y, Z = task.codes[task.validation], Z[task.validation]
    scores = []
    for ridge in RIDGES:
        W = solve_ridge(known.gram, ridge)
        guess = ((Z - known.center) @ W + known.prior).argmax(axis=1)
        scores.append(metric(y, guess))
    return max(scores)


def _spanning(widths: dict[PooledSite, int]) -> list[PooledSite]:
    """Pooled sites from the deepest down, evenly, of CURVE_COLUMNS columns or so."""
    sites = [p for p in widths if p.site.kind == "resid" and p.pooling == "mean"]
    sites = sorted(sites or widths, key=lambda p: p.site.layer, reverse=True)
    count = max(1, CURVE_COLUMNS // widths[sites[0]])
    return sites[:: -(-len(sites) // count)]
