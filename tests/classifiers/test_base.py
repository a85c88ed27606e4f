"""A head and a backbone from disk label texts as the estimator does, without it."""

from pathlib import Path

import numpy as np
import pytest

from helpers.models.tiny import tiny_backbone
from stc_core.classifiers import persistence
from stc_core.classifiers.base import open_base
from stc_core.classifiers.estimator import SparsifyThenClassify
from stc_core.errors import StcError
from stc_core.heads.head import SparseHead
from stc_core.types import Feature, PooledSite, Site

TEXTS = ["good day", "a bad film of the year", "not good"]
FEATURES = (
    Feature(Site(0, "resid"), "mean", 3),
    Feature(Site(1, "mlp"), "max", 5),
    Feature(Site(1, "mlp"), "first", 0),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((2, 3)).astype(np.float32)
    one = np.ones(3, np.float32)
    head = SparseHead(FEATURES, one, one, weight, one[:2], ("no", "yes"))
    return persistence.save_classifier(
        tmp_path_factory.mktemp("model"),
        head,
        np.array(["no", "yes"]),
        about=persistence.About.of(tiny_backbone("bert")),
        params={"preset": "stc"},
    )


def test_it_says_what_the_estimator_says(folder):
    classifier = open_base(folder, backbone=tiny_backbone("bert"))
    model = SparsifyThenClassify.load(folder, backbone=tiny_backbone("bert"))
    np.testing.assert_array_equal(classifier.features(TEXTS), model.features(TEXTS))
    np.testing.assert_array_equal(classifier.predict(TEXTS), model.predict(TEXTS))
    P = classifier.predict_proba(TEXTS)
    np.testing.assert_array_equal(P, model.predict_proba(TEXTS))
    np.testing.assert_allclose(P.sum(axis=1), 1, rtol=1e-6)
    assert classifier.explain(TEXTS[1]) == model.explain(TEXTS[1])


def test_its_features_are_those_of_the_backbone(folder):
    backbone = tiny_backbone("bert")
    found = open_base(folder, backbone=backbone).features(TEXTS)
    sites = [PooledSite(feature.site, feature.pooling) for feature in FEATURES]
    pooled = backbone.pooled(backbone.tokenize(TEXTS).ids, sites)
    for column, (site, feature) in enumerate(zip(sites, FEATURES, strict=True)):
        wanted = pooled[site][:, feature.index].numpy()
        np.testing.assert_allclose(found[:, column], wanted, atol=1e-6)


def test_another_backbone_is_refused(folder):
    with pytest.raises(StcError, match="expected the backbone tiny bert of identity"):
        open_base(folder, backbone=tiny_backbone("gpt2"))


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(StcError, match=r"a folder with classifier\.json"):
        open_base(tmp_path)
