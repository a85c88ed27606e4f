"""Sums over rows that determine a ridge head exactly, in whatever order rows come.

They take one pass over blocks of any size, and memory does not grow with the rows.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.heads.head import SparseHead, flat_as_one
from stc_core.heads.least_squares import SHARPNESS, Gram, solve_ridge


class Standardised(NamedTuple):
    """Mean and sd of the columns, and the Gram matrix of the standardised rows."""

    mean: Float[np.ndarray, " d"]
    sd: Float[np.ndarray, " d"]
    gram: Gram
    prior: Float[np.ndarray, " n_class"]


class Sums:
    """Weighted sums and products of rows X and of their one-hot labels.

    Rows are added as (X - mean) / sd, with a rough `mean` and `sd` from some of the
    rows, so that float32 products lose no precision. The result does not depend on
    them.
    """

    def __init__(
        self,
        mean: Float[np.ndarray, " d"],
        sd: Float[np.ndarray, " d"],
        n_class: int,
    ) -> None:
        self.mean, self.sd = mean, sd
        self.weight = 0.0
        self.y = np.zeros(n_class)
        self.z = np.zeros(len(mean))
        self.zz = np.zeros((len(mean), len(mean)), np.float32)
        self.zy = np.zeros((len(mean), n_class))

    def add(
        self,
        X: Float[np.ndarray, "n d"],
        codes: Int[np.ndarray, " n"],
        weight: Float[np.ndarray, " n"],
    ) -> None:
        """Add more rows to the sums."""
        Z = ((X - self.mean) / self.sd).astype(np.float32)
        A = Z * weight[:, None].astype(np.float32)
        Y = np.eye(len(self.y), dtype=np.float32)[codes]
        self.weight += float(weight.sum(dtype=np.float64))
        self.y += np.bincount(codes, weight, len(self.y))
        self.z += A.sum(axis=0, dtype=np.float64)
        self.zz += A.T @ Z
        self.zy += A.T @ Y

    def __add__(self, other: "Sums") -> "Sums":
        """The sums over the rows of both."""
        return self._with(other, np.add)

    def __sub__(self, other: "Sums") -> "Sums":
        """The sums without the rows of `other`, which must all be in these sums."""
        return self._with(other, np.subtract)

    def _with(self, other: "Sums", combine: np.ufunc) -> "Sums":
        """The sums of both, combined number by number."""
        out = Sums(self.mean, self.sd, len(self.y))
        for name in ("weight", "y", "z", "zz", "zy"):
            setattr(out, name, combine(getattr(self, name), getattr(other, name)))
        return out

    def standardised(self, trust: Float[np.ndarray, " d"]) -> Standardised:
        """The moments of the rows, standardised and then scaled by `trust`."""
        center, prior = self.z / self.weight, self.y / self.weight
        shift = (center * self.weight**0.5).astype(np.float32)
        ZZ = self.zz - np.outer(shift, shift)
        ZY = self.zy - np.outer(self.z, prior)
        true_sd = np.sqrt(np.maximum(ZZ.diagonal(), 0) / self.weight) * self.sd
        mean = (self.mean + self.sd * center).astype(np.float32)
        sd = flat_as_one(mean, true_sd.astype(np.float32))
        scale = (trust * self.sd / sd).astype(np.float32)
        ZZ *= scale
        ZZ *= scale[:, None]
        return Standardised(
            mean,
            sd,
            Gram(ZZ, (ZY * scale[:, None]).astype(np.float32), self.weight),
            prior.astype(np.float32),
        )


def head_from(
    sums: Sums, head: SparseHead, *, ridge: float, trust: Float[np.ndarray, " n"]
) -> SparseHead:
    """`head` with the weights of a ridge model of the rows that `sums` counted.

    It equals `ridge.fit_ridge_head` on those rows, but for rounding.
    """
    mean, sd, moments, prior = sums.standardised(trust)
    W = solve_ridge(moments, ridge).T * SHARPNESS * trust
    return head._replace(mean=mean, sd=sd, weight=W, bias=SHARPNESS * prior)
