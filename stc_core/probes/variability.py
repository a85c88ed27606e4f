"""Hidden-state variability of every layer of a backbone for the labels of a corpus.

Source: arXiv 2210.10041. It needs no training, only one forward pass of every text.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from stc_core.activations.forward import BatchBudget, run_batches
from stc_core.backbone.backbone import Backbone
from stc_core.data.task import Read, Task
from stc_core.errors import StcError
from stc_core.types import PooledSite, Progress, silent

RANK_TOLERANCE = 1e-10
"""Singular values of the class means below this share of the largest count as rounding.
"""


class Scatter:
    """Sufficient statistics of one layer's rows, added in batches of any size.

    `counts` are the numbers of rows that each class will have in the end. The mean of
    each class and the within-class scatter are kept in float64: (K + d) d numbers,
    however many rows there are. Each batch is merged around its own means (Chan, Golub
    and LeVeque 1983), so no digits cancel and the order of the rows does not matter.
    """

    def __init__(
        self, counts: Sequence[int] | Int[np.ndarray, " n_class"], width: int
    ) -> None:
        self.counts = torch.as_tensor(np.asarray(counts))
        if len(self.counts) < 2 or not bool((self.counts > 0).all()):
            raise StcError(
                "variability",
                expected="at least 2 classes, and a row of each",
                got=f"rows by class {self.counts.tolist()[:20]}",
            )
        n_class = len(self.counts)
        self.seen = torch.zeros(n_class, dtype=torch.float64)
        self.means = torch.zeros(n_class, width, dtype=torch.float64)
        self.within = torch.zeros(width, width, dtype=torch.float64)

    def add(self, X: Float[Tensor, "n d"], codes: Int[Tensor, " n"]) -> None:
        """Merge a batch: its rows and the class code of each."""
        device = X.device if X.device.type != "mps" else torch.device("cpu")
        self._move(device)
        X, codes = X.to(device, torch.float64), codes.to(device)
        n_class = len(self.counts)
        batch_counts = torch.bincount(codes, minlength=n_class).double()
        sums = torch.zeros_like(self.means).index_add_(0, codes, X)
        means = sums / batch_counts.clamp(min=1)[:, None]
        share = 1 / (n_class * self.counts.double())  # weight of a row in Sigma_w
        inner = (X - means[codes]) * share[codes].sqrt()[:, None]
        total = self.seen + batch_counts
        step = means - self.means
        merge_weight = share * self.seen * batch_counts / total.clamp(min=1)
        outer = step * merge_weight.sqrt()[:, None]
        self.within += inner.T @ inner + outer.T @ outer
        self.means += step * (batch_counts / total.clamp(min=1))[:, None]
        self.seen = total

    def nu(self) -> float:
        """(1/K) trace(Sigma_w pinv(Sigma_b)); lower means better separated classes.

        It equals the dense definition. It is inf if all class means are the same: then
        the layer says nothing about the classes. With M = [mean_y - mean] / sqrt(K) = U
        S V^T it is (1/K) sum_i u_i^T Sigma_w u_i / s_i^2, over the at most K - 1
        directions of M.
        """
        assert torch.equal(self.seen, self.counts.double()), (self.seen, self.counts)
        n_class = len(self.counts)
        centred = (self.means - self.means.mean(0)) / n_class**0.5
        _, s, directions = torch.linalg.svd(centred, full_matrices=False)
        # The rows of `centred` sum to zero: the last of K directions is only rounding.
        s, directions = s[: n_class - 1], directions[: n_class - 1]
        is_real = s > RANK_TOLERANCE * s[0]
        if not bool(is_real.any()):
            return float("inf")
        s, directions = s[is_real], directions[is_real]
        spread = ((directions @ self.within) * directions).sum(1)
        return float((spread / s**2).sum() / n_class)

    def _move(self, device: torch.device) -> None:
        if self.within.device != device:
            for name in ("counts", "seen", "means", "within"):
                setattr(self, name, getattr(self, name).to(device))


def _variability(X: Float[Tensor, "n d"], codes: Int[Tensor, " n"]) -> float:
    """nu of rows that are all in memory; `codes` are 0 to K - 1, each in use.

    It does not change under a rotation, a shift or a common scale of all features.
    """
    scatter = Scatter(torch.bincount(codes).cpu().numpy(), X.shape[1])
    scatter.add(X, codes)
    return scatter.nu()


def best_layer(nu: Sequence[float]) -> int:
    """l*: the layer with the smallest nu, the lower one on a tie."""
    return int(np.argmin(np.asarray(nu)))


class LayerNu(NamedTuple):
    """nu of layers 0 (embeddings) to L, and the layer with the smallest nu."""

    nu: tuple[float, ...]
    best_layer: int

    @classmethod
    def of(cls, scatters: Sequence[Scatter]) -> "LayerNu":
        """nu of each layer from its scatter, layers ascending."""
        nu = tuple(scatter.nu() for scatter in scatters)
        return cls(nu, best_layer(nu))

    def record(self) -> dict[str, Any]:
        """The record as JSON values; a layer with an infinite nu has None."""
        nu = [value if math.isfinite(value) else None for value in self.nu]
        return {"nu": nu, "best_layer": self.best_layer}


def mean_state_sites(backbone: Backbone) -> list[PooledSite]:
    """The residual site of every layer, pooled by the mean."""
    return [PooledSite(s, "mean") for s in backbone.sites if s.kind == "resid"]


def measure_variability(
    backbone: Backbone,
    texts: Sequence[str],
    codes: Int[np.ndarray, " n"],
    *,
    progress: Progress = silent,
) -> LayerNu:
    """nu of every layer for the class codes of `texts`, in one pass over the texts.

    A text is represented by the mean of its own tokens' states; the special tokens that
    the tokenizer adds are left out. No activation is kept after its batch. `progress`
    counts texts.
    """
    wanted = mean_state_sites(backbone)
    counts = np.bincount(codes)
    scatters = [
        Scatter(counts, backbone.widths[pooled_site.site]) for pooled_site in wanted
    ]
    y = torch.from_numpy(np.asarray(codes, np.int64))
    read = partial(
        backbone.content_means, sites=[pooled_site.site for pooled_site in wanted]
    )
    budget = BatchBudget(backbone, wanted, None)
    n_done = 0
    for batch in run_batches(backbone, texts, wanted, dict, budget=budget, read=read):
        for scatter, states in zip(scatters, batch.value.values(), strict=True):
            scatter.add(states, y[batch.rows])
        n_done += len(batch.rows)
        progress(n_done, len(texts))
    return LayerNu.of(scatters)


def variability_from_features(
    read: Read, task: Task, backbone: Backbone, wanted: Sequence[PooledSite]
) -> LayerNu | None:
    """nu of every layer from stored features of the training rows.

    These features are means over all tokens, special tokens too, so the values differ a
    little from those of `measure_variability`. None if no mean of a residual site is
    among `wanted`.
    """
    codes = torch.from_numpy(np.asarray(task.codes[task.train], np.int64))
    counts = np.bincount(codes, minlength=len(task.classes))
    scatters = []
    states = [
        pooled_site
        for pooled_site in mean_state_sites(backbone)
        if pooled_site in set(wanted)
    ]
    if not states:
        return None
    for pooled_site in states:
        scatter = Scatter(counts, backbone.widths[pooled_site.site])
        scatter.add(torch.from_numpy(read(pooled_site)[task.train]), codes)
        scatters.append(scatter)
    return LayerNu.of(scatters)
