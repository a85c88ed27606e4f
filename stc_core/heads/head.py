"""The classifier's head: a linear read-out of selected neurons, explained exactly."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from stc_core.types import Feature

_COLUMNS = 256
"""So many columns are standardised at a time."""
FLAT = 32
"""A constant may vary by so many units in the last place."""
LEAST_SD = 1e-12


class SparseHead(NamedTuple):
    """logit_k = bias_k + sum_j weight_kj (x_j - mean_j) / sd_j over n neurons.

    `weight` is on the standardised scale with the temperature folded in, so one
    standard deviation of neuron j moves the logit of class k by weight_kj. A value x_j
    outside `low_j` to `high_j` counts as the nearer end: a text of another kind than
    those seen in training moves a logit no further than they could. Heads that were
    saved before November 2026 have no such range.
    """

    features: tuple[Feature, ...]
    mean: Float[np.ndarray, " n"]
    sd: Float[np.ndarray, " n"]
    weight: Float[np.ndarray, "n_class n"]
    bias: Float[np.ndarray, " n_class"]
    classes: tuple[str, ...]
    low: Float[np.ndarray, " n"] | None = None
    high: Float[np.ndarray, " n"] | None = None

    @property
    def layer(self) -> int:
        """The highest layer that the head reads; blocks above it never run."""
        return max((feature.site.layer for feature in self.features), default=0)

    @property
    def importance(self) -> Float[np.ndarray, " n"]:
        """sum_k w_kj^2 of each neuron, on the standardised scale."""
        return (self.weight**2).sum(axis=0)

    def logits(
        self, X: Float[np.ndarray, "batch n"]
    ) -> Float[np.ndarray, "batch n_class"]:
        """Logits of raw pooled activations, columns in the order of `features`."""
        return self.standardised(X) @ self.weight.T + self.bias

    @property
    def range(self) -> dict[str, Float[np.ndarray, " n"]]:
        """`low` and `high` by name; empty for a head without a range."""
        if self.low is None or self.high is None:
            return {}
        return {"low": self.low, "high": self.high}

    def within_range(
        self, X: Float[np.ndarray, "*batch n"]
    ) -> Float[np.ndarray, "*batch n"]:
        """Raw values as the head counts them: the nearer end for those outside."""
        ends = self.range
        return np.clip(X, ends["low"], ends["high"]) if ends else X

    def standardised(
        self, X: Float[np.ndarray, "*batch n"]
    ) -> Float[np.ndarray, "*batch n"]:
        """What the weights are multiplied by, of raw pooled activations."""
        return (self.within_range(X) - self.mean) / self.sd

    def probabilities(
        self, X: Float[np.ndarray, "batch n"]
    ) -> Float[np.ndarray, "batch n_class"]:
        """Calibrated probabilities, columns in the order of `classes`."""
        return softmax(self.logits(X))

    def without_range(self) -> "SparseHead":
        """The head that counts every value as it is."""
        return self._replace(low=None, high=None)

    def only(self, neuron: int) -> "SparseHead":
        """The part of the head that reads one neuron, with the whole bias."""
        place = slice(neuron, neuron + 1)
        return self._replace(
            features=self.features[place],
            mean=self.mean[place],
            sd=self.sd[place],
            weight=self.weight[:, place],
            low=None if self.low is None else self.low[place],
            high=None if self.high is None else self.high[place],
        )

    def cooled(self, temperature: float) -> "SparseHead":
        """The same head with logits divided by `temperature`."""
        return self._replace(
            weight=self.weight / temperature, bias=self.bias / temperature
        )


def softmax(
    logits: Float[np.ndarray, "batch n_class"],
) -> Float[np.ndarray, "batch n_class"]:
    """Probabilities of each row; large logits do not overflow."""
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


def mean_and_sd(
    X: Float[np.ndarray, "n d"], weight: Float[np.ndarray, " n"] | None = None
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
    """Mean and standard deviation of each column; a flat column has sd 1.

    The columns are handled in groups: all at once would take three copies of X.
    """
    starts = range(0, max(1, X.shape[1]), _COLUMNS)
    parts = [_standard(X[:, start : start + _COLUMNS], weight) for start in starts]
    mean, sd = (np.concatenate(part) for part in zip(*parts, strict=True))
    return mean, sd


def _standard(
    X: Float[np.ndarray, "n d"], weight: Float[np.ndarray, " n"] | None
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
    """Mean and standard deviation of each column of a group."""
    weight = np.ones(len(X), np.float32) if weight is None else weight
    share = (weight / weight.sum(dtype=np.float64)).astype(X.dtype)
    mean = share @ X
    centred = X - mean
    bias = share @ centred  # the error that rounding left in the mean
    centred -= bias
    mean += bias
    sd = np.sqrt(share @ np.square(centred))
    return mean.astype(np.float32), flat_as_one(mean, sd).astype(np.float32)


def value_range(
    X: Float[np.ndarray, "n d"],
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
    """The smallest and the largest value of each column."""
    return X.min(axis=0), X.max(axis=0)


def is_flat(
    mean: Float[np.ndarray, " d"],
    sd: Float[np.ndarray, " d"],
    dtype: type | np.dtype = np.float32,
) -> Bool[np.ndarray, " d"]:
    """Whether each column varies no more than rounding makes a constant vary.

    Two ways to compute the same value may differ by some units in its last place: 32 of
    them count as no difference. A column with an sd below LEAST_SD counts as constant,
    too: another text would be an astronomical number of such deviations away.
    """
    return sd <= np.maximum(FLAT * np.finfo(dtype).eps * np.abs(mean), LEAST_SD)


def flat_as_one(
    mean: Float[np.ndarray, " d"], sd: Float[np.ndarray, " d"]
) -> Float[np.ndarray, " d"]:
    """The standard deviations, with 1 for columns that are flat up to rounding."""
    return np.where(is_flat(mean, sd), np.ones_like(sd), sd)


def rescale_head(head: SparseHead, X: Float[np.ndarray, "n d"]) -> SparseHead:
    """A head with the same logits, without a range; mean and sd are those of X."""
    mean, sd = mean_and_sd(X)
    weight = head.weight * (sd / head.sd)
    bias = head.bias + head.weight @ ((mean - head.mean) / head.sd)
    return head.without_range()._replace(mean=mean, sd=sd, weight=weight, bias=bias)
