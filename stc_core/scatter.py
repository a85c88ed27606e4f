"""How far the classes of a task stand apart in a layer: hidden-state variability.

Source: arXiv 2210.10041 (Findings of EMNLP 2022), after neural collapse.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from stc_core.errors import StcError

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


def variability(X: Float[Tensor, "n d"], codes: Int[Tensor, " n"]) -> float:
    """nu of rows that are all at hand; `codes` are 0 to K - 1, each in use.

    Does not change under rotation, shift or one scale of all features.
    """
    scatter = Scatter(torch.bincount(codes).cpu().numpy(), X.shape[1])
    scatter.add(X, codes)
    return scatter.nu()


def best_layer(nu: Sequence[float]) -> int:
    """l*: the layer with the least nu, the lower one on a tie."""
    return int(np.argmin(np.asarray(nu)))
