"""Every pooled site of some texts, and whether two readings of them agree."""

import numpy as np

from stc_core.backbone.backbone import Backbone
from stc_core.poolings import POOLING_RULES
from stc_core.types import PooledSite

BY_HAND = {
    "first": lambda text: text[0],
    "last": lambda text: text[-1],
    "max": lambda text: text.max(0),
    "mean": lambda text: text.mean(0),
}


def assert_equal(actual, expected) -> None:
    """Within 1e-5 of the largest value: float32, whatever the order of its sums."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    atol = 1e-5 * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


def all_pooled(backbone: Backbone) -> list[PooledSite]:
    return [PooledSite(site, p) for site in backbone.sites for p in POOLING_RULES]
