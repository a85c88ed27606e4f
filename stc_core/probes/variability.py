"""Hidden-state variability of every layer of a backbone, for the labels of a corpus.

Source: arXiv 2210.10041. No training: one forward of every text.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from stc_core.activations.forward import BatchBudget, run
from stc_core.backbone.backbone import Backbone
from stc_core.data.task import Read, Task
from stc_core.errors import StcError
from stc_core.types import PooledSite, Progress, silent

RANK_TOLERANCE = 1e-10
"""Directions of the class means this much weaker than the strongest are rounding."""


class Scatter:
    """Sufficient statistics of one layer's rows, that arrive in batches of any size.

    `counts` are the rows that each class will have in the end. Kept, in float64: the
    mean of each class and the within-class scatter, (K + d) d numbers however many
    rows there are. Each batch is merged about its own means (Chan, Golub and LeVeque
    1983), so nothing cancels and the order of the rows does not matter.
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
        here = torch.bincount(codes, minlength=n_class).double()
        sums = torch.zeros_like(self.means).index_add_(0, codes, X)
        means = sums / here.clamp(min=1)[:, None]
        share = 1 / (n_class * self.counts.double())  # of a row in Sigma_w
        inside = (X - means[codes]) * share[codes].sqrt()[:, None]
        total = self.seen + here
        step = means - self.means
        merged = share * self.seen * here / total.clamp(min=1)
        apart = step * merged.sqrt()[:, None]
        self.within += inside.T @ inside + apart.T @ apart
        self.means += step * (here / total.clamp(min=1))[:, None]
        self.seen = total

    def nu(self) -> float:
        """(1/K) trace(Sigma_w pinv(Sigma_b)); lower: the classes stand further apart.

        Equal to the dense definition; inf if all class means are the same, when the
        layer tells nothing. With M = [mean_y - mean] / sqrt(K) = U S V^T it is
        (1/K) sum_i u_i^T Sigma_w u_i / s_i^2, over the at most K - 1 directions of M.
        """
        assert torch.equal(self.seen, self.counts.double()), (self.seen, self.counts)
        n_class = len(self.counts)
        centred = (self.means - self.means.mean(0)) / n_class**0.5
        _, s, directions = torch.linalg.svd(centred, full_matrices=False)
        # Rows of `centred` sum to zero: the last of K directions is rounding alone.
        s, directions = s[: n_class - 1], directions[: n_class - 1]
        real = s > RANK_TOLERANCE * s[0]
        if not bool(real.any()):
            return float("inf")
        s, directions = s[real], directions[real]
        spread = ((directions @ self.within) * directions).sum(1)
        return float((spread / s**2).sum() / n_class)

    def _move(self, device: torch.device) -> None:
        if self.within.device != device:
            for name in ("counts", "seen", "means", "within"):
                setattr(self, name, getattr(self, name).to(device))


def _variability(X: Float[Tensor, "n d"], codes: Int[Tensor, " n"]) -> float:
    """nu of rows that are all at hand; `codes` are 0 to K - 1, each in use.

    Does not change under rotation, shift or one scale of all features.
    """
    scatter = Scatter(torch.bincount(codes).cpu().numpy(), X.shape[1])
    scatter.add(X, codes)
    return scatter.nu()


def best_layer(nu: Sequence[float]) -> int:
    """l*: the layer with the least nu, the lower one on a tie."""
    return int(np.argmin(np.asarray(nu)))


class LayerNu(NamedTuple):
    """nu of layers 0 (embeddings) to L, and the layer with the least."""

    nu: tuple[float, ...]
    best_layer: int

    @classmethod
    def of(cls, scatters: Sequence[Scatter]) -> "LayerNu":
        nu = tuple(scatter.nu() for scatter in scatters)
        return cls(nu, best_layer(nu))

    def record(self) -> dict[str, Any]:
        """For JSON: a layer that tells nothing has None."""
        nu = [value if math.isfinite(value) else None for value in self.nu]
        return {"nu": nu, "best_layer": self.best_layer}


def states_of(backbone: Backbone) -> list[PooledSite]:
    """The hidden states of every layer, by the mean."""
    return [PooledSite(s, "mean") for s in backbone.sites if s.kind == "resid"]


def measure(
    backbone: Backbone,
    texts: Sequence[str],
    codes: Int[np.ndarray, " n"],
    *,
    progress: Progress = silent,
) -> LayerNu:
    """nu of every layer for the class codes of `texts`, each layer in one pass.

    A text is the mean of its own tokens' states: those that the tokenizer adds are
    left out. No activation outlives its batch. `progress` counts texts.
    """
    wanted = states_of(backbone)
    counts = np.bincount(codes)
    scatters = [Scatter(counts, backbone.widths[wish.site]) for wish in wanted]
    y = torch.from_numpy(np.asarray(codes, np.int64))
    read = partial(backbone.content_means, sites=[wish.site for wish in wanted])
    pace = BatchBudget(backbone, wanted, None)
    done = 0
    for batch in run(backbone, texts, wanted, dict, pace=pace, read=read):
        for scatter, states in zip(scatters, batch.value.values(), strict=True):
            scatter.add(states, y[batch.rows])
        done += len(batch.rows)
        progress(done, len(texts))
    return LayerNu.of(scatters)


def from_features(
    read: Read, task: Task, backbone: Backbone, wanted: Sequence[PooledSite]
) -> LayerNu | None:
    """nu of every layer from stored features of the training rows.

    These are means over all tokens, special ones too, so the values differ a little
    from those of `measure`. None if the means are not among those `wanted`.
    """
    codes = torch.from_numpy(np.asarray(task.codes[task.train], np.int64))
    counts = np.bincount(codes, minlength=len(task.classes))
    scatters = []
    states = [wish for wish in states_of(backbone) if wish in set(wanted)]
    if not states:
        return None
    for wish in states:
        scatter = Scatter(counts, backbone.widths[wish.site])
        scatter.add(torch.from_numpy(read(wish)[task.train]), codes)
        scatters.append(scatter)
    return LayerNu.of(scatters)
