"""The read-out of a corpus of any size: activations, head and logits in blocks.

The neurons are known; what is read here are their values alone, from a store where it
has them and else from the truncated backbone.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int

from stc_core.activations.extract import extract_features
from stc_core.activations.row_file import Rows, block_rows
from stc_core.backbone.backbone import Backbone
from stc_core.data.task import Task
from stc_core.data.texts import Texts
from stc_core.heads.head import SparseHead
from stc_core.heads.least_squares import solve_ridge
from stc_core.heads.moments import Sums
from stc_core.heads.ridge import SHARPNESS
from stc_core.metrics.scores import fit_temperature
from stc_core.selection.stc import Fitted
from stc_core.types import Feature, PooledSite, Progress, silent

ReadRows = Callable[[PooledSite, Int[np.ndarray, " k"]], Float[np.ndarray, "k width"]]
"""Features of a pooled site on the texts at some places of a store."""


def _gather(
    read: ReadRows, features: Sequence[Feature], rows: Int[np.ndarray, " k"]
) -> Float[np.ndarray, "k n_features"]:
    """Raw pooled values of single neurons, from a store."""
    out = np.empty((len(rows), len(features)), np.float32)
    places: dict[PooledSite, list[int]] = {}
    for place, feature in enumerate(features):
        pooled_site = PooledSite(feature.site, feature.pooling)
        places.setdefault(pooled_site, []).append(place)
    for pooled_site, columns in places.items():
        index = [features[place].index for place in columns]
        out[:, columns] = read(pooled_site, rows)[:, index]
    return out


def activation_blocks(
    backbone: Backbone,
    texts: Texts,
    features: Sequence[Feature],
    *,
    read: ReadRows,
    known: Int[np.ndarray, " n"],
    progress: Progress = silent,
) -> Iterator[Float[np.ndarray, "some n_features"]]:
    """Values of the neurons on all texts, in their order, a block at a time.

    `known[i]` is the place of text i in the store, -1 if it is not there: such texts
    go through the backbone up to the deepest of the features. `progress` counts texts.
    """
    size = block_rows(len(features))
    for start in range(0, len(texts), size):
        places = known[start : start + size]
        out = np.empty((len(places), len(features)), np.float32)
        stored, left = np.flatnonzero(places >= 0), np.flatnonzero(places < 0)
        if len(stored):
            out[stored] = _gather(read, features, places[stored])
        if len(left):
            out[left] = extract_features(backbone, texts.at(start + left), features)
        yield out
        progress(start + len(places), len(texts))


def refit(activations: Rows, task: Task, fitted: Fitted) -> Fitted:
    """The same neurons, ridge and trust, with a head fitted on all rows of the task.

    Equals `sparsify.fit_head` on the whole matrix, but for rounding: first on train
    alone, for the temperature and the validation logits, then on validation too. A
    head that is no ridge head stays as it is, with logits on all validation rows.
    """
    if fitted.trust is None:
        logits = logits_at(activations, fitted.head, task.validation)
        return fitted._replace(validation_logits=logits)
    head, ridge = fitted.head, float(fitted.chosen["ridge"])
    train, learned = _sums(activations, task, head)
    first = head_from(train, head, ridge=ridge, trust=fitted.trust)
    logits = logits_at(activations, first, task.validation)
    temperature = fit_temperature(logits, task.codes[task.validation])
    last = head_from(learned, head, ridge=ridge, trust=fitted.trust).cooled(temperature)
    chosen = {**fitted.chosen, "temperature": temperature}
    return fitted._replace(
        head=last, chosen=chosen, validation_logits=logits / temperature
    )


def _sums(activations: Rows, task: Task, head: SparseHead) -> tuple[Sums, Sums]:
    """Those over the training rows, and over the validation rows too."""
    n_class, equal = len(task.classes), task.class_weight is None
    first, second = (Sums(head.mean, head.sd, n_class) for _ in range(2))
    # Balanced weights depend on the rows, so that the sums do not simply add up.
    later = task.validation if equal else task.learned
    weights = [
        _spread(activations.n, task.train, task.weights(task.train)),
        _spread(activations.n, later, task.weights(later)),
    ]
    for part, X in activations.blocks():
        for sums, weight in zip((first, second), weights, strict=True):
            rows = np.flatnonzero(weight[part])
            if len(rows):
                sums.add(X[rows], task.codes[part][rows], weight[part][rows])
    return first, first + second if equal else second


def _spread(
    n: int, rows: Int[np.ndarray, " some"], values: Float[np.ndarray, " some"]
) -> Float[np.ndarray, " n"]:
    out = np.zeros(n, np.float32)
    out[rows] = values
    return out


def head_from(
    sums: Sums, head: SparseHead, *, ridge: float, trust: Float[np.ndarray, " n"]
) -> SparseHead:
    """`head` with the weights of a ridge model of the rows in `sums`.

    It equals `ridge.fit_ridge_head` on those rows, but for rounding.
    """
    mean, sd, moments, prior = sums.standardised(trust)
    W = solve_ridge(moments, ridge).T * SHARPNESS * trust
    return head._replace(mean=mean, sd=sd, weight=W, bias=SHARPNESS * prior)


def logits_at(
    activations: Rows, head: SparseHead, rows: Int[np.ndarray, " some"]
) -> Float[np.ndarray, "some n_class"]:
    """Logits of some rows, in the order of `rows`."""
    place = np.full(activations.n, -1)
    place[rows] = np.arange(len(rows))
    out = np.empty((len(rows), len(head.classes)), np.float32)
    for part, X in activations.blocks():
        here = np.flatnonzero(place[part] >= 0)
        out[place[part][here]] = head.logits(X[here])
    return out
