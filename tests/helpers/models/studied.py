"""A classifier on a few neurons of a tiny model, and the study of its neurons."""

from collections.abc import Sequence

import numpy as np

from helpers.models.tiny import TEXTS, tiny_backbone
from stc_core.classifiers.base import BaseClassifier
from stc_core.heads.head import SparseHead
from stc_core.interpret.interventions.effects import EffectStudy
from stc_core.types import Feature, Site

CLASSES = ("a", "b", "c")
LABELS = [CLASSES[place % 3] for place in range(len(TEXTS))]


def studied_classifier(
    family: str, sites: tuple[str, ...] = ("mlp.1", "resid.1", "resid.2")
):
    """A random head on four neurons of each of these sites, pooled in two ways."""
    backbone, rng = tiny_backbone(family), np.random.default_rng(1)
    known = [Site.parse(name) for name in sites if Site.parse(name) in backbone.widths]
    features = tuple(
        Feature(site, pooling, index)
        for site in known
        for pooling in ("max", "mean")
        for index in (1, 4, 6, 7)
    )
    found, n = BaseClassifier(), len(features)
    found.backbone_, found.classes_ = backbone, np.array(CLASSES)
    weight = rng.standard_normal((3, n)).astype(np.float32)
    ones = np.ones(n, np.float32)
    bias = np.zeros(3, np.float32)
    found.head_ = SparseHead(features, 0 * ones, ones, weight, bias, CLASSES)
    return found


def study_on(model: BaseClassifier, texts: Sequence[str] = TEXTS) -> EffectStudy:
    labels = LABELS[: len(texts)]
    return EffectStudy(
        model, texts, labels, reference_texts=TEXTS, reference_labels=LABELS
    )
