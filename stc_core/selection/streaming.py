"""The final head on a corpus of any size: activations, head and logits in blocks.

The neurons are already chosen. Only their values are read: from a store if it has them,
else from the truncated backbone.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.activations.extract import extract_features
from stc_core.activations.groups import Groups, blocks_in_order
from stc_core.activations.row_file import RowFile, block_rows
from stc_core.backbone.backbone import Backbone
from stc_core.data.task import Task
from stc_core.data.texts import Texts
from stc_core.heads.head import SparseHead, value_range
from stc_core.heads.moments import Sums, head_from
from stc_core.heads.word_readout import ngram_matrix
from stc_core.metrics.scores import fit_temperature
from stc_core.selection.stc import Fitted
from stc_core.selection.words.joint import joined, split_joint
from stc_core.types import Feature, PooledSite, Progress, silent

ReadRows = Callable[[PooledSite, Int[np.ndarray, " k"]], Float[np.ndarray, "k width"]]
"""Reads the features of a pooled site for the texts at given positions of a store."""

ENOUGH = 5000
"""So many validation rows tell the temperature as well as all rows in folds."""


def _gather(
    read: ReadRows, features: Sequence[Feature], rows: Int[np.ndarray, " k"]
) -> Float[np.ndarray, "k n_features"]:
    """Raw pooled values of single neurons, from a store."""
    out = np.empty((len(rows), len(features)), np.float32)
    columns_of_site: dict[PooledSite, list[int]] = {}
    for column, feature in enumerate(features):
        pooled_site = PooledSite(feature.site, feature.pooling)
        columns_of_site.setdefault(pooled_site, []).append(column)
    for pooled_site, columns in columns_of_site.items():
        index = [features[column].index for column in columns]
        out[:, columns] = read(pooled_site, rows)[:, index]
    return out


def activation_blocks(
    backbone: Backbone,
    texts: Texts,
    features: Sequence[Feature],
    *,
    groups: Groups,
    read: ReadRows,
    known: Int[np.ndarray, " n"],
    progress: Progress = silent,
) -> Iterator[Float[np.ndarray, "some n_features"]]:
    """Yield the values of the neurons on all texts, in their order, block by block.

    `known[i]` is the position of text i in the store, or -1 if it is not there. Texts
    that are not there go through the backbone, up to the deepest layer of the features,
    each group apart. `progress` counts texts.
    """
    size, n_done = block_rows(len(features)), 0

    def blocks_of(
        rows: Int[np.ndarray, " k"],
    ) -> Iterator[Float[np.ndarray, "_ n_features"]]:
        nonlocal n_done
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            positions = known[some]
            out = np.empty((len(some), len(features)), np.float32)
            stored, missing = positions >= 0, positions < 0
            if stored.any():
                out[stored] = _gather(read, features, positions[stored])
            if missing.any():
                out[missing] = extract_features(
                    backbone, texts.at(some[missing]), features
                )
            n_done += len(some)
            progress(n_done, len(texts))
            yield out

    yield from blocks_in_order(groups, blocks_of, size=size)


class _WithWords(NamedTuple):
    """The values of neurons, and after them those of words."""

    activations: RowFile
    texts: Texts
    columns: dict[str, int]

    @property
    def n(self) -> int:
        return self.activations.n

    def blocks_of(
        self, rows: Int[np.ndarray, " k"]
    ) -> Iterator[tuple[Int[np.ndarray, " some"], Float[np.ndarray, "some width"]]]:
        for some, X in self.activations.blocks_of(rows):
            words = ngram_matrix(self.texts.at(some), self.columns).toarray()
            yield some, np.concatenate([X, words], axis=1)


Values = RowFile | _WithWords


def refit(activations: RowFile, task: Task, fitted: Fitted, texts: Texts) -> Fitted:
    """The same neurons, ridge and trust, with a head fitted on all rows of the task.

    First a fit on train alone gives the logits of the validation rows, which are held
    (those in the sample have taken part in the ranking of the neurons);
    then a fit on train and validation gives the head. Both equal `fit_ridge_head` on
    the whole matrix, but for rounding. With ENOUGH validation rows these give the
    temperature; with fewer it stays that of the sample. A head that is not a ridge head
    stays as it is; it gets logits for all validation rows.
    """
    if fitted.trust is None:
        logits = logits_at(activations, fitted.head, task.validation)
        return fitted._replace(held=task.validation, held_logits=logits)
    ridge, words = float(fitted.chosen["ridge"]), _words_of(fitted)
    columns = {word: place for place, word in enumerate(words)}
    values = _WithWords(activations, texts, columns) if words else activations
    joint, features = joined(fitted.head, len(words)), fitted.head.features
    first, last = (
        split_joint(
            head_from(seen.sums, seen.ranged(joint), ridge=ridge, trust=fitted.trust),
            features,
            words,
        )
        for seen in _sums(values, task, joint)
    )
    logits = logits_at(activations, first.head, task.validation)
    if words:
        logits += first.words.logits(texts.at(task.validation))
    temperature = float(fitted.chosen["temperature"])
    if len(task.validation) >= ENOUGH:
        temperature = fit_temperature(logits, task.codes[task.validation])
    first, last = first.cooled(temperature), last.cooled(temperature)
    return fitted._replace(
        head=last.head,
        chosen={**fitted.chosen, "temperature": temperature},
        held=task.validation,
        held_logits=logits / temperature,
        fold=np.zeros(len(task.validation), np.int64),
        fold_heads=(first.head,),
        words=last.words if words else None,
        fold_words=(first.words,) if words else (),
    )


def _words_of(fitted: Fitted) -> tuple[str, ...]:
    return () if fitted.words is None else fitted.words.words


class _Seen:
    """The sums over some rows, and the lowest and highest value of each column."""

    def __init__(self, sums: Sums) -> None:
        self.sums = sums
        self.low = np.full(len(sums.mean), np.inf, np.float32)
        self.high = -self.low

    def add(self, X: np.ndarray, codes: np.ndarray, weight: np.ndarray) -> None:
        """Add more rows."""
        self.sums.add(X, codes, weight)
        low, high = value_range(X)
        self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)

    def __add__(self, other: "_Seen") -> "_Seen":
        """What was seen of the rows of both."""
        both = _Seen(self.sums + other.sums)
        both.low = np.minimum(self.low, other.low)
        both.high = np.maximum(self.high, other.high)
        return both

    def ranged(self, head: SparseHead) -> SparseHead:
        """The head with the range of these rows."""
        return head._replace(low=self.low, high=self.high)


def _sums(activations: Values, task: Task, head: SparseHead) -> tuple[_Seen, _Seen]:
    """What is seen in the training rows, and in train and validation together."""
    n_class, unweighted = len(task.classes), task.goal.class_weight == "none"
    train, later = (_Seen(Sums(head.mean, head.sd, n_class)) for _ in range(2))
    # Other weights depend on the set of rows, so their sums cannot be added up.
    later_rows = task.validation if unweighted else task.learned
    weights = [
        _spread(activations.n, task.train, task.weights(task.train)),
        _spread(activations.n, later_rows, task.weights(later_rows)),
    ]
    for learned, X in activations.blocks_of(np.sort(task.learned)):
        for seen, weight in zip((train, later), weights, strict=True):
            own = np.flatnonzero(weight[learned])
            rows = learned[own]
            if len(rows):
                seen.add(X[own], task.codes[rows], weight[rows])
    return train, train + later if unweighted else later


def _spread(
    n: int, rows: Int[np.ndarray, " some"], values: Float[np.ndarray, " some"]
) -> Float[np.ndarray, " n"]:
    """An array of n zeros with `values` at the positions `rows`."""
    out = np.zeros(n, np.float32)
    out[rows] = values
    return out


def ranged_over(
    head: SparseHead, activations: RowFile, rows: Int[np.ndarray, " some"]
) -> SparseHead:
    """The head with the range that its neurons have over `rows`."""
    ends = [value_range(X) for _, X in activations.blocks_of(np.sort(rows))]
    low, high = (np.stack(end) for end in zip(*ends, strict=True))
    return head._replace(low=low.min(axis=0), high=high.max(axis=0))


def logits_at(
    activations: Values,
    head: SparseHead,
    rows: Int[np.ndarray, " some"],
) -> Float[np.ndarray, "some n_class"]:
    """Logits of the given rows, in the order of `rows`; other rows do not matter."""
    order, done = np.argsort(rows, kind="stable"), 0
    out = np.empty((len(rows), len(head.classes)), np.float32)
    for some, X in activations.blocks_of(rows[order]):
        out[order[done : done + len(some)]] = head.logits(X)
        done += len(some)
    return out


def logit_blocks(
    activations: RowFile, head: SparseHead, groups: Groups
) -> Iterator[Float[np.ndarray, "some n_class"]]:
    """Yield the logits of all rows in order, in blocks of as many as `activations` has.

    Rows of different groups are never in one matrix product, whose last bits depend on
    all of its rows.
    """

    def blocks_of(
        rows: Int[np.ndarray, " k"],
    ) -> Iterator[Float[np.ndarray, "_ n_class"]]:
        for _, X in activations.blocks_of(rows):
            yield head.logits(X)

    return blocks_in_order(groups, blocks_of, size=block_rows(activations.width))
