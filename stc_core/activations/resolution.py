"""The columns of a feature store that can be learned from, as they vary enough.

The activation of a saturated unit hardly varies over texts. What is left of its spread
is rounding: on another machine, or in another batch, it is another number. Once
standardised, such a column would look like any other.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from stc_core.data.task import some_rows
from stc_core.types import PooledSite

LEAST_RESOLVED = 2.0**-9
"""The least spread of a column in float32, relative to the size of its site's values.

Measured on the 47,616 columns of the embedded model, in float32 against float64 (trec,
edos): up to 100 % of a smaller spread is rounding, and at most .04 % of a larger one.
"""
LEAST_STEPS = 16.0
"""The least spread in half precision, in units of its relative rounding.

In bfloat16 (1/16 of the site's size) up to 31 % of the spread of a kept column is
rounding and 4 % of the usual one; in float16 (1/64) up to 7 %.
"""
PEAK = 8.0
"""A column with one value so many times as far from its mean as the least spread is
kept, too: it is a neuron that fires for few texts. Rounding stays below 5 times."""
MOST_KEPT_BYTES = 2**28
"""Features are read many times, and a store in half precision is converted each time:
that was a fifth of all time after the extraction. So the first sites stay in memory."""


@runtime_checkable
class RowReader(Protocol):
    """A store whose features can be read for all texts, or for some."""

    def read(
        self, pooled_site: PooledSite, rows: Int[np.ndarray, " k"] | None = None
    ) -> Float[np.ndarray, "k width"]: ...


class KeptFeatures:
    """Features that were read before, up to MOST_KEPT_BYTES; a pickle has none."""

    def __init__(self) -> None:
        self.by_site: dict[PooledSite, np.ndarray] = {}

    def keep(self, site: PooledSite, X: np.ndarray) -> None:
        """Keep X, which can no longer be changed, if there is room for it."""
        taken = sum(kept.nbytes for kept in list(self.by_site.values()))
        if taken + X.nbytes <= MOST_KEPT_BYTES:
            X.setflags(write=False)
            self.by_site[site] = X

    def __reduce__(self) -> tuple[type["KeptFeatures"], tuple[()]]:
        return KeptFeatures, ()


class ResolvedReader(NamedTuple):
    """Reads features with 0 in the columns that vary too little to be learned from.

    `resolved` has a flag for each column of each pooled site. A probe gives a column of
    zeros no weight. `read` must give an array that may be changed; what the reader
    gives may not.
    """

    read: Callable[[PooledSite], Float[np.ndarray, "n width"]]
    resolved: dict[PooledSite, Bool[np.ndarray, " width"]]
    kept: KeptFeatures

    def __call__(self, pooled_site: PooledSite) -> Float[np.ndarray, "n width"]:
        """The features of a pooled site, a row for each text."""
        known = self.kept.by_site.get(pooled_site)
        if known is not None:
            return known
        X = self.read(pooled_site)
        X[:, ~self.resolved[pooled_site]] = 0
        self.kept.keep(pooled_site, X)
        return X

    @property
    def left_out(self) -> int:
        """The number of columns, over all sites, that are not learned from."""
        return sum(int(np.sum(~columns)) for columns in self.resolved.values())


def resolved_columns(
    X: Float[np.ndarray, "n width"], *, dtype: torch.dtype = torch.float32
) -> Bool[np.ndarray, " width"]:
    """Whether each column of a pooled site varies well beyond the rounding of `dtype`.

    Rounding in a forward pass is relative to the size of the numbers that are added up:
    that of the column itself, |mean|, and the usual size in its site, the median over
    the columns of sqrt(mean x^2). (A large mean would hide a few huge columns behind
    it; the median does not know them.) A column is resolved if its standard deviation
    is more than LEAST_RESOLVED of the larger one, or LEAST_STEPS units of rounding in
    half precision; or if some value is PEAK times as far from the mean.
    """
    mean = X.mean(axis=0, dtype=np.float64)
    centred = np.abs(X - mean.astype(np.float32))
    peak = centred.max(axis=0)
    sd = np.sqrt(np.square(centred, out=centred).mean(axis=0, dtype=np.float64))
    size = np.hypot(mean, sd)
    varying = size[sd > 0]
    usual = float(np.median(varying)) if len(varying) else 0.0
    least = max(LEAST_RESOLVED, LEAST_STEPS * torch.finfo(dtype).eps)
    smallest = least * np.maximum(np.abs(mean), usual)
    return (sd > smallest) | (peak > PEAK * smallest)


def resolved_reader(
    store: RowReader,
    pooled_sites: Sequence[PooledSite],
    rows: Int[np.ndarray, " some"],
    *,
    dtype: torch.dtype,
) -> ResolvedReader:
    """A reader of `store` that leaves out what does not vary enough over `rows`.

    At most 20,000 of the rows are looked at. `dtype` is that of the backbone; a store
    in half precision loses less than its forward pass.
    """
    some = some_rows(rows)
    resolved = {
        site: resolved_columns(store.read(site, some), dtype=dtype)
        for site in pooled_sites
    }
    return ResolvedReader(store.read, resolved, KeptFeatures())
