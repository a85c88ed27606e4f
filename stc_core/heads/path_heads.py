"""Whole paths of labels by one linear head, made of a head for each level.

The score of a node is log p(node) + sum_d alpha_d log p_d(its parent at level d), where
p_d is the answer of the head of the coarser level d. The normaliser of each
log-probability is the same for all nodes, so the score is a linear function of the
neurons. It is thus one linear head, whose softmax gives the probabilities of paths, and
no coarse answer is final: a sure leaf outvotes a doubtful parent.
"""

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.heads.head import SparseHead, softmax
from stc_core.metrics.criteria import Codes
from stc_core.metrics.scores import SAME_SCORE, accuracy, fit_temperature
from stc_core.types import Feature

Lineage = Sequence[Int[np.ndarray, " n_node"]]
ALPHAS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
"""The weights that a coarser level may have."""


def path_logits(
    above: Lineage,
    logits: Sequence[Float[np.ndarray, "n _"]],
    alphas: Sequence[float],
) -> Float[np.ndarray, "n n_node"]:
    """The logits of the paths down to the last of these levels.

    `logits` are those of the heads of the first levels, coarse to fine, and `alphas`
    the weights of all of them but the last, whose weight is 1. `above` holds for each
    coarser level its node above each node of the last one.
    """
    *coarse, own = logits
    assert len(coarse) == len(alphas), (len(coarse), alphas)
    total = own.astype(np.float64)
    for of_level, alpha, nodes in zip(coarse, alphas, above, strict=True):
        total += alpha * of_level[:, nodes]
    return total


def path_head(
    above: Lineage, heads: Sequence[SparseHead], alphas: Sequence[float]
) -> SparseHead:
    """The head whose logits are the `path_logits` of the logits of these heads.

    It reads the neurons of all heads with a weight that is not 0. A neuron that two
    heads read within the same range is read once, with the sum of their weights.
    """
    *coarse, own = heads
    parts = [own]
    for head, alpha, nodes in zip(coarse, alphas, above, strict=True):
        if alpha:
            weight, bias = alpha * head.weight[nodes], alpha * head.bias[nodes]
            parts.append(head._replace(weight=weight, bias=bias, classes=own.classes))
    return _sum_of(parts)


class Weighing(NamedTuple):
    """The weights of the coarser levels, and the temperature of the combined logits."""

    alphas: tuple[float, ...]
    temperature: float


def weigh_levels(
    above: Lineage,
    logits: Sequence[Float[np.ndarray, "n _"]],
    codes: Codes,
    *,
    weight: Float[np.ndarray, " n"],
    score: Callable[[Codes, Float[np.ndarray, "n n_node"]], float],
) -> Weighing:
    """The weights from ALPHAS with the lowest log-loss on rows that no head has seen.

    `logits` are those of the first levels, calibrated and coarse to fine; `codes` are
    the nodes of the last of them, and `weight` is how much each row counts. Weights
    that lower the accuracy of the rows, or their `score(codes, logits)`, do not count;
    so all weights are 0, which leaves the last head as it is, unless others are better.
    On a tie the smaller weights win. The temperature is fitted on the same rows.
    """
    shares = weight / weight.sum()
    rows = np.arange(len(codes))

    def judged(alphas: tuple[float, ...]) -> tuple[float, float, float]:
        combined = path_logits(above, logits, alphas)
        chances = softmax(combined)[rows, codes]
        losses = -np.log(np.maximum(chances, np.finfo(float).tiny))
        right = accuracy(codes, combined.argmax(axis=1))
        return float(shares @ losses), right, score(codes, combined)

    grid = sorted(product(ALPHAS, repeat=len(logits) - 1), key=sum)
    best, flat = grid[0], judged(grid[0])
    least = flat[0]
    for alphas in grid[1:]:
        loss, *scores = judged(alphas)
        no_worse = all(
            a >= b - SAME_SCORE for a, b in zip(scores, flat[1:], strict=True)
        )
        if no_worse and loss < least - SAME_SCORE:
            best, least = alphas, loss
    return Weighing(best, fit_temperature(path_logits(above, logits, best), codes))


def _sum_of(heads: Sequence[SparseHead]) -> SparseHead:
    """The head whose logits are the sums of the logits of these heads.

    Its neurons are in computing order; the mean and sd of a neuron are those of the
    first head that reads it.
    """
    keys = [_keys(head) for head in heads]
    ordered = sorted({key for of_head in keys for key in of_head})
    place = {key: number for number, key in enumerate(ordered)}
    n_class, n = len(heads[0].classes), len(ordered)
    mean, sd = np.zeros(n, np.float32), np.zeros(n, np.float32)
    weight, bias = np.zeros((n_class, n)), np.zeros(n_class)
    for head, of_head in zip(heads, keys, strict=True):
        at = np.array([place[key] for key in of_head], int)
        new = sd[at] == 0
        mean[at[new]], sd[at[new]] = head.mean[new], head.sd[new]
        weight[:, at] += head.weight * (sd[at] / head.sd)
        bias += head.bias + head.weight @ ((mean[at] - head.mean) / head.sd)
    return SparseHead(
        tuple(feature for feature, _, _ in ordered),
        mean,
        sd,
        weight.astype(np.float32),
        bias.astype(np.float32),
        heads[0].classes,
        low=np.array([low for _, low, _ in ordered], np.float32),
        high=np.array([high for _, _, high in ordered], np.float32),
    )


def _keys(head: SparseHead) -> list[tuple[Feature, float, float]]:
    """What tells the neurons of a head: which they are, and their range."""
    n = len(head.features)
    low = head.range.get("low", np.full(n, -np.inf))
    high = head.range.get("high", np.full(n, np.inf))
    return list(zip(head.features, low.tolist(), high.tolist(), strict=True))
