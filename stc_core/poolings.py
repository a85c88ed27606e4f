"""How the tokens of a text become one value for each neuron: one record a pooling.

A new pooling is one more record in `POOLING_RULES`: settings, extraction, attribution,
saved classifiers and the app take it from there. Nothing here loads torch.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

Pooling = str
"""The name of a pooling, a key of `POOLING_RULES`."""


class PoolingRule(NamedTuple):
    """One pooling, in every form in which it is computed.

    `over_tokens(hidden, out)` fills the float32 `out` (texts, d) from `hidden` (texts,
    length, d), all of whose tokens are real. `with_mask(hidden, mask)` gives float32
    (batch, d) from `hidden` (batch, pos, d) and the true positions of `mask` (batch,
    pos); values under a false mask, NaN and inf too, do not change it. `shares(values)`
    gives the weight of each token of one text, from the values of one neuron (pos,) or
    of several (pos, n), in the same shape: those of a neuron sum to 1, and the pooled
    value is their product with the values. `sentence` tells people which tokens count.
    """

    over_tokens: Callable[[Any, Any], object]
    with_mask: Callable[[Any, Any], Any]
    shares: Callable[[Any], Any]
    sentence: str

    def value(self, values: Any) -> Any:
        """The pooled value of one neuron (pos,), or of each of several (pos, n).

        Tokens without a share do not matter, even if their value is NaN.
        """
        import numpy as np

        shares = self.shares(values)
        parts = np.zeros(np.shape(values))
        np.multiply(shares, values, where=shares != 0, out=parts)
        return parts.sum(axis=0)


def _first_with_mask(hidden: Any, mask: Any) -> Any:
    first = mask.int().argmax(1)
    return hidden.gather(1, _at(first, hidden)).squeeze(1).float()


def _last_with_mask(hidden: Any, mask: Any) -> Any:
    last = mask.shape[1] - 1 - mask.flip(1).int().argmax(1)
    return hidden.gather(1, _at(last, hidden)).squeeze(1).float()


def _at(position: Any, hidden: Any) -> Any:
    """One position of each text, as an index of `hidden`: (batch, 1, d)."""
    return position[:, None, None].expand(-1, 1, hidden.shape[2])


def _max_with_mask(hidden: Any, mask: Any) -> Any:
    return hidden.masked_fill(~mask[:, :, None], float("-inf")).amax(1).float()


def _mean_over_tokens(hidden: Any, out: Any) -> object:
    import torch  # light: whoever has a tensor has loaded it

    return torch.mean(hidden, 1, dtype=torch.float32, out=out)


def _mean_with_mask(hidden: Any, mask: Any) -> Any:
    import torch

    total = hidden.masked_fill(~mask[:, :, None], 0).sum(1, dtype=torch.float32)
    return total / mask.sum(1, keepdim=True)


def _all_at(position: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The shares of a pooling that takes the value of one token."""

    def shares(values: Any) -> Any:
        import numpy as np

        weights = np.zeros(np.shape(values))
        at = np.broadcast_to(position(values), np.shape(values)[1:])
        np.put_along_axis(weights, at[None], 1, axis=0)
        return weights

    return shares


def _equal_shares(values: Any) -> Any:
    import numpy as np

    return np.full(np.shape(values), 1 / len(values))


POOLING_RULES: dict[Pooling, PoolingRule] = {
    "first": PoolingRule(
        lambda hidden, out: out.copy_(hidden[:, 0]),
        _first_with_mask,
        _all_at(lambda values: 0),
        "The number on the left is the value on the first token.",
    ),
    "last": PoolingRule(
        lambda hidden, out: out.copy_(hidden[:, -1]),
        _last_with_mask,
        _all_at(lambda values: len(values) - 1),
        "The number on the left is the value on the last token.",
    ),
    "max": PoolingRule(
        lambda hidden, out: out.copy_(hidden.amax(1)),
        _max_with_mask,
        _all_at(lambda values: values.argmax(axis=0)),
        "The number on the left is the value on the most active token.",
    ),
    "mean": PoolingRule(
        _mean_over_tokens,
        _mean_with_mask,
        _equal_shares,
        "The number on the left is the average over all tokens.",
    ),
}
