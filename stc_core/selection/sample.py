"""The rows of a large corpus on which neurons are chosen, and how many are enough.

A small corpus is its own sample. For a large corpus the features of all sites are
extracted for a stratified sample only. The sample is doubled as long as doubling is
seen to help. Learned rows and test rows are sampled and extracted apart.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from stc_core.activations.groups import GroupedStore, Groups
from stc_core.activations.resolution import ResolvedReader, resolved_reader
from stc_core.activations.row_file import RowFile, write_rows
from stc_core.backbone.backbone import Backbone
from stc_core.data.task import Task
from stc_core.data.texts import Texts
from stc_core.heads.head import mean_and_sd
from stc_core.heads.least_squares import RIDGES, solve_ridge
from stc_core.heads.ridge import moments
from stc_core.selection.folds import stratified_order
from stc_core.selection.stc import Fitted
from stc_core.selection.streaming import ReadRows, activation_blocks, refit
from stc_core.types import PooledSite, Progress, silent

LARGE = 40_000
"""Learned rows are sampled if there are more of them than this. Test rows are sampled
if there are more rows than this over all splits."""
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

Extract = Callable[[Texts, Groups], GroupedStore]
"""Extracts the features of texts, group by group."""


class Sample(NamedTuple):
    """The sampled rows of a corpus, with their features and their task.

    `rows` are positions in the corpus, in the order of the rows of `store` and `task`.
    `test` holds the sampled test rows: baselines are scored on them, and nothing is
    chosen by them. `is_whole`: the sample is the whole corpus. `has_all_learned`: it
    has all train and validation rows.
    """

    rows: Int[np.ndarray, " k"]
    store: GroupedStore
    task: Task
    test: Int[np.ndarray, " k_test"]
    notes: tuple[str, ...]
    is_whole: bool
    has_all_learned: bool

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
    some of the test rows. If there are more than LARGE learned rows, it has FIRST
    training rows and some of the validation rows. The training rows are doubled until
    doubling raises the validation score of a simple model by no more than a standard
    error, or there are no more, or they would exceed the memory limit. Which learned
    rows are in it does not depend on the test rows.
    """
    is_whole = len(texts) <= LARGE
    if not is_whole:
        test = stratified_order(task.codes, test, seed=seed, each=EACH)[:MOST_TEST]
    if len(task.learned) > LARGE:
        return _draw_large(texts, task, test, extract=extract, seed=seed)
    rows = np.arange(len(texts))
    if not is_whole:
        rows = np.sort(np.concatenate([task.learned, test]))
        test = np.searchsorted(rows, test)
        task = _task_at(task, rows)
    store = extract(texts.at(rows), task.groups)
    return Sample(rows, store, task, test, store.notes, is_whole, True)


def _task_at(task: Task, rows: Int[np.ndarray, " k"]) -> Task:
    """The task of these ascending rows, among which are all learned rows."""
    return task._replace(
        codes=task.codes[rows],
        train=np.searchsorted(rows, task.train),
        validation=np.searchsorted(rows, task.validation),
    )


def _draw_large(
    texts: Texts,
    task: Task,
    test: Int[np.ndarray, " k_test"],
    *,
    extract: Extract,
    seed: int,
) -> Sample:
    """A sample of the learned rows, beside the rows `test`."""
    stratified = partial(stratified_order, task.codes, seed=seed, each=EACH)
    order, held = stratified(task.train), stratified(task.validation)[:MOST_VALIDATION]
    n_train = min(FIRST, len(order))
    parts = [np.concatenate([order[:FIRST], held]), test]
    first = np.split(np.arange(sum(map(len, parts))), [len(parts[0])])
    store = extract(texts.at(np.concatenate(parts)), [g for g in first if len(g)])
    most_rows = _MOST_BYTES // (4 * max(store.widths.values()))
    while True:
        sample = _sample(task, parts, store, n_train=n_train, n_validation=len(held))
        gain, error = gain_of_doubling(store.read, store.widths, sample.task)
        if gain <= error or n_train == len(order) or 2 * n_train > most_rows:
            note = _NOTE.format(n_train, len(order), 100 * gain, 100 * error)
            return sample._replace(notes=(*store.notes, note))
        parts.append(order[n_train : 2 * n_train])
        n_train = min(2 * n_train, len(order))
        more = extract(texts.at(parts[-1]), [np.arange(len(parts[-1]))])
        store = store.followed_by(more)


def _sample(
    task: Task,
    parts: Sequence[np.ndarray],
    store: GroupedStore,
    *,
    n_train: int,
    n_validation: int,
) -> Sample:
    """The sample made of `parts`, positions in the corpus.

    The first part holds train and validation rows, in this order, the second one test
    rows; the others hold more training rows.
    """
    rows = np.concatenate(parts)
    positions = np.arange(len(rows))
    n_first = len(parts[0]) - n_validation
    learned_end, test_end = np.cumsum([len(parts[0]), len(parts[1])])
    train = np.concatenate([positions[:n_first], positions[test_end:]])
    assert len(train) == n_train, (len(train), n_train)
    sampled_task = task._replace(
        codes=task.codes[rows], train=train, validation=positions[n_first:learned_end]
    )
    test = positions[learned_end:test_end]
    return Sample(rows, store, sampled_task, test, (), False, False)


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

    Values that the sample does not have are computed. If the sample does not have all
    learned rows, the head is fitted again on all of them; else it stays as it is.
    """
    features = fitted.head.features
    blocks = activation_blocks(
        backbone,
        texts,
        features,
        groups=task.groups,
        read=sample.store.read,
        known=sample.known(len(texts)),
        progress=progress,
    )
    rows = write_rows(path, blocks, n=len(texts), width=len(features))
    if sample.has_all_learned:
        return rows, fitted._replace(held=sample.rows[fitted.held])
    return rows, refit(rows, task, fitted, texts)


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
        task.goal,
    )
    half, whole = (
        _score(X, joint_task, joint_task.train[:size]) for size in (n // 2, n)
    )
    return whole - half, (whole * (1 - whole) / len(task.validation)) ** 0.5


def _score(
    Z: Float[np.ndarray, "n d"], task: Task, rows: Int[np.ndarray, " some"]
) -> float:
    """The best validation score of ridge models fitted on `rows`."""
    train, judged = moments(Z[rows], task, rows), task.validation
    Z = Z[judged]
    scores = []
    for ridge in RIDGES:
        W = solve_ridge(train.gram, ridge)
        scores.append(task.score(judged, (Z - train.center) @ W + train.prior))
    return max(scores)


def _spanning(widths: dict[PooledSite, int]) -> list[PooledSite]:
    """Evenly spaced pooled sites, deepest first, with about CURVE_COLUMNS columns."""
    sites = [p for p in widths if p.site.kind == "resid" and p.pooling == "mean"]
    sites = sorted(sites or widths, key=lambda p: p.site.layer, reverse=True)
    count = max(1, CURVE_COLUMNS // widths[sites[0]])
    return sites[:: -(-len(sites) // count)]
