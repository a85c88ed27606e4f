"""The features that a classifier on a whole layer reads."""

from stc_core.backbone.backbone import Backbone
from stc_core.types import Feature, Site


def dense_features(backbone: Backbone, layer: int) -> tuple[Feature, ...]:
    """Every dimension of a layer's hidden state, pooled by the mean."""
    site = Site(layer, "resid")
    return tuple(Feature(site, "mean", i) for i in range(backbone.widths[site]))
