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
    pooled = np.empty(len(features))
    for (site, pooling), places in _alike(features).items():
        values = _values_of(features, places, hidden[site])
        pooled[places] = POOLING_RULES[pooling].value(values)
    return pooled


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
    for (site, pooling), places in _alike(head.features).items():
        values = _values_of(head.features, places, hidden[site])
        parts = POOLING_RULES[pooling].shares(values) * (values - head.mean[places])
        added = (parts * (counted / head.sd)[places]) @ head.weight[:, places].T
        shares[site] = shares[site] + added if site in shares else added
    return shares


def _alike(features: Sequence[Feature]) -> dict[tuple[Site, Pooling], list[int]]:
    """The places of the features that are read at one site with one pooling."""
    places: dict[tuple[Site, Pooling], list[int]] = {}
    for place, feature in enumerate(features):
        places.setdefault((feature.site, feature.pooling), []).append(place)
    return places


def _values_of(
    features: Sequence[Feature],
    places: Sequence[int],
    hidden: Float[np.ndarray, "pos width"],
) -> Float[np.ndarray, "pos n"]:
    """The values of these features, which are read at one site, on each token."""
    return hidden[:, [features[place].index for place in places]].astype(np.float64)


def _counted_share(
    head: SparseHead, x: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """The part of each neuron's deviation from its mean that the head counts: 1 within
    its range."""
    deviation, counted = x - head.mean, head.within_range(x) - head.mean
    return np.divide(
        counted, deviation, out=np.ones_like(x), where=counted != deviation
    )
