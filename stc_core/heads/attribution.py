"""Why this label: the logit, split exactly over neurons, layers and tokens.

It is an exact split of the read-out, not a causal claim: a word's share says how much
of the logit was read at its position, not what would happen without the word.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from stc_core.heads.head import SparseHead
from stc_core.poolings import POOLING_RULES
from stc_core.types import Feature, Pooling, Site


def contributions(
    head: SparseHead, x: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n_class n"]:
    """What each neuron adds to each logit: w_kj (x_j - mean_j) / sd_j.

    A value outside the head's range counts as the nearer end. With the bias they sum to
    the logits, to float precision.
    """
    return head.weight * head.standardised(x)


def by_layer(
    features: Sequence[Feature], split: Float[np.ndarray, "n_class n"]
) -> dict[int, Float[np.ndarray, " n_class"]]:
    """Contributions summed within each layer, layers ascending."""
    layers = np.array([feature.site.layer for feature in features])
    return {int(layer): split[:, layers == layer].sum(1) for layer in np.unique(layers)}


def pooled_values(
    features: Sequence[Feature], hidden: Mapping[Site, Float[np.ndarray, "pos width"]]
) -> Float[np.ndarray, " n"]:
    """The pooled value of each feature of one text, from its token activations."""
    return np.array(
        [
            _pool(hidden[feature.site][:, feature.index], feature.pooling)
            for feature in features
        ],
        dtype=np.float64,
    )


def token_shares(
    head: SparseHead, hidden: Mapping[Site, Float[np.ndarray, "pos width"]]
) -> dict[Site, Float[np.ndarray, "pos n_class"]]:
    """What each position adds to each logit, for each site.

    A mean-pooled neuron's contribution is the mean of w (a_t - mean) / sd over the
    positions. A max-pooled one belongs to the position of the maximum (the first, if
    there are several), first and last to theirs. If the pooled value is outside the
    head's range, its shares are scaled down together, to what the head counts. So over
    all sites and positions the shares sum to the logits minus the bias, to float
    precision.
    """
    counted = _counted_share(head, pooled_values(head.features, hidden))
    shares: dict[Site, np.ndarray] = {}
    for site in dict.fromkeys(feature.site for feature in head.features):
        columns = [j for j, f in enumerate(head.features) if f.site == site]
        parts = [
            _spread(
                hidden[site][:, head.features[j].index].astype(np.float64),
                head.features[j].pooling,
                float(head.mean[j]),
            )
            * float(counted[j] / head.sd[j])
            for j in columns
        ]
        shares[site] = np.stack(parts, axis=1) @ head.weight[:, columns].T
    return shares


def _counted_share(
    head: SparseHead, x: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """The part of each neuron's deviation from its mean that the head counts: 1 within
    its range."""
    deviation, counted = x - head.mean, head.within_range(x) - head.mean
    return np.divide(
        counted, deviation, out=np.ones_like(x), where=counted != deviation
    )


def _pool(a: Float[np.ndarray, " pos"], pooling: Pooling) -> float:
    a = a.astype(np.float64)
    return POOLING_RULES[pooling].value(a)


def _spread(
    a: Float[np.ndarray, " pos"], pooling: Pooling, mean: float
) -> Float[np.ndarray, " pos"]:
    """The pooled value minus the mean, at the positions that it comes from."""
    return POOLING_RULES[pooling].shares(a) * (a - mean)
