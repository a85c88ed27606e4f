"""The rows of a large corpus on which neurons are chosen, and how many are enough.

A small corpus is its own sample. For a large corpus the features of all sites are
extracted for a stratified sample only. The sample is doubled as long as doubling is
seen to help.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from stc_core.activations.resolution import ResolvedReader, resolved_reader
from stc_core.activations.row_file import RowFile, write_rows
from stc_core.activations.store import FeatureStore
from stc_core.backbone.backbone import Backbone
from stc_core.data.task import Task
from stc_core.data.texts import Texts
from stc_core.heads.head import mean_and_sd
from stc_core.heads.least_squares import RIDGES, solve_ridge
from stc_core.heads.ridge import moments
from stc_core.metrics.scores import metric_of
from stc_core.selection.stc import Fitted
from stc_core.selection.streaming import ReadRows, activation_blocks, refit
from stc_core.types import PooledSite, Progress, silent

LARGE = 40_000
"""A corpus with more rows than this, over all splits, is sampled."""
FIRST = 20_000
MOST_VALIDATION, MOST_TEST = 5_000, 5_000
_MOST_BYTES = 1 << 28
"""Limit for the widest pooled site on the sampled training rows: probes hold some
copies of it."""
EACH = 10
"""So many rows of every class come first, however rare the class is."""
CURVE_COLUMNS = 2048
_NOTE = (
    "Neurons are chosen on {:,} of {:,} training rows: the last doubling changed "
    "validation by {:+.1f} points, with a standard error of {:.1f}."
)

Extract = Callable[[Sequence[str]], FeatureStore]


class Sample(NamedTuple):
    """The sampled rows of a corpus, with their features and their task.

    `rows` are positions in the corpus, in the order of the rows of `store` and `task`.
    `test` holds the sampled test rows: baselines are scored on them, and nothing is
    chosen by them.
    """

    rows: Int[np.ndarray, " k"]
    store: "FeatureStore | _Stack"
    task: Task
    test: Int[np.ndarray, " k_test"]
    notes: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the sample is the whole corpus."""
        return not isinstance(self.store, _Stack)

    def resolved(self, dtype: torch.dtype) -> ResolvedReader:
        """A reader of the features, without columns that only rounding varies.

        Training rows decide. `dtype` is that of the backbone.
        """
        sites = list(self.store.widths)
        return resolved_reader(self.store, sites, self.task.train, dtype=dtype)

    def known(self, n: int) -> Int[np.ndarray, " n"]:
        """The position in the sample of each of the n rows of the corpus, or -1."""
        positions = np.full(n, -1)
        positions[self.rows] = np.arange(len(self.rows))
        return positions


class _Stack:
    """Several stores, read as one: the texts of each follow those of the one before."""

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
            own_rows = np.flatnonzero((rows >= start) & (rows < start + part.n))
            if len(own_rows):
                out[own_rows] = part.read(pooled_site, rows[own_rows] - start)
        return out


def draw_sample(
    texts: Texts,
    task: Task,
    test: Int[np.ndarray, " n_test"],
    *,
    extract: Extract,
    seed: int,
) -> Sample:
    """The sample of a corpus, with all its features extracted by `extract`.

    Up to LARGE rows it is the whole corpus, in its order. For a larger corpus it has
    FIRST training rows and some of the other rows. The training rows are doubled until
    doubling raises the validation score of a simple model by no more than a standard
    error, or there are no more, or they would exceed the memory limit.
    """
    if len(texts) <= LARGE:
        store = extract(texts)
        return Sample(np.arange(len(texts)), store, task, test, store.notes)
    order = stratified_order(task.codes, task.train, seed=seed)
    others = [
        stratified_order(task.codes, task.validation, seed=seed)[:MOST_VALIDATION],
        stratified_order(task.codes, test, seed=seed)[:MOST_TEST],
    ]
    n_train, parts = min(FIRST, len(order)), [np.concatenate([order[:FIRST], *others])]
    stores = [extract(texts.at(parts[0]))]
    most_rows = _MOST_BYTES // (4 * max(stores[0].widths.values()))
    while True:
        sample = _sample(
            task, parts, stores, n_train=n_train, n_validation=len(others[0])
        )
        gain, error = gain_of_doubling(
            sample.store.read, sample.store.widths, sample.task
        )
        if gain <= error or n_train == len(order) or 2 * n_train > most_rows:
            note = _NOTE.format(n_train, len(order), 100 * gain, 100 * error)
            return sample._replace(notes=(*sample.store.notes, note))
        parts.append(order[n_train : 2 * n_train])
        n_train = min(2 * n_train, len(order))
        stores.append(extract(texts.at(parts[-1])))


def _sample(
    task: Task,
    parts: Sequence[np.ndarray],
    stores: Sequence[FeatureStore],
    *,
    n_train: int,
    n_validation: int,
) -> Sample:
    """The sample made of `parts`, positions in the corpus.

    The first part holds train, validation and test rows, in this order; the others hold
    more training rows.
    """
    rows = np.concatenate(parts)
    positions = np.arange(len(rows))
    n_first = n_train - sum(map(len, parts[1:]))
    validation_end, n_first_part = n_first + n_validation, len(parts[0])
    sampled_task = Task(
        task.codes[rows],
        task.classes,
        np.concatenate([positions[:n_first], positions[n_first_part:]]),
        positions[n_first:validation_end],
        task.class_weight,
    )
    return Sample(
        rows, _Stack(stores), sampled_task, positions[validation_end:n_first_part]
    )


def refit_on_all_rows(
    sample: Sample,
    fitted: Fitted,
    *,
    backbone: Backbone,
    texts: Texts,
    task: Task,
    path: Path,
    progress: Progress = silent,
) -> tuple[RowFile, Fitted]:
    """Values of the kept neurons on all texts, stored in `path`, and the final head.

    Values that the sample does not have are computed. If the sample is not the whole
    corpus, the head is fitted again on all rows of `task`; else it stays as it is.
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


def stratified_order(
    codes: Int[np.ndarray, " n"], rows: Int[np.ndarray, " some"], *, seed: int
) -> Int[np.ndarray, " some"]:
    """`rows` in a random order such that every prefix has each class in proportion.

    The first EACH rows of every class come before all others.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(rows)
    by_class = np.argsort(codes[shuffled], kind="stable")
    shuffled = shuffled[by_class]
    counts = np.unique(codes[shuffled], return_counts=True)[1]
    class_size = np.repeat(counts, counts)
    rank = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    # A row's rank within its class, as a share. The random part keeps small classes
    # from always coming last.
    share = (rank + rng.random(len(rows))) / class_size
    return shuffled[np.lexsort((share, rank >= EACH))]


def gain_of_doubling(
    read: ReadRows, widths: dict[PooledSite, int], task: Task
) -> tuple[float, float]:
    """What the second half of the training rows adds to the validation score.

    Second comes the standard error of that score. The score is that of a ridge model on
    some sites that span the layers: cheap, and enough to see whether more rows still
    help.
    """
    sites = _spanning(widths)
    n = len(task.train)
    rows = task.learned
    X = np.concatenate([read(site, rows) for site in sites], axis=1)
    mean, sd = mean_and_sd(X[:n])
    X -= mean
    X /= sd
    joint_task = Task(
        task.codes[rows],
        task.classes,
        np.arange(n),
        np.arange(n, len(rows)),
        task.class_weight,
    )
    half, whole = (
        _score(X, joint_task, joint_task.train[:size]) for size in (n // 2, n)
    )
    return whole - half, (whole * (1 - whole) / len(task.validation)) ** 0.5


def _score(
    Z: Float[np.ndarray, "n d"], task: Task, rows: Int[np.ndarray, " some"]
) -> float:
    """The best validation score of ridge models fitted on `rows`."""
    train, metric = moments(Z[rows], task, rows), metric_of(task.class_weight)
    y, Z = task.codes[task.validation], Z[task.validation]
    scores = []
    for ridge in RIDGES:
        W = solve_ridge(train.gram, ridge)
        guess = ((Z - train.center) @ W + train.prior).argmax(axis=1)
        scores.append(metric(y, guess))
    return max(scores)


def _spanning(widths: dict[PooledSite, int]) -> list[PooledSite]:
    """Evenly spaced pooled sites, deepest first, with about CURVE_COLUMNS columns."""
    sites = [p for p in widths if p.site.kind == "resid" and p.pooling == "mean"]
    sites = sorted(sites or widths, key=lambda p: p.site.layer, reverse=True)
    count = max(1, CURVE_COLUMNS // widths[sites[0]])
    return sites[:: -(-len(sites) // count)]
