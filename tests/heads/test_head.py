"""The linear head: its logits by hand, standardisation, class weights."""

import numpy as np
import pytest
from scipy.special import softmax as reference_softmax
from sklearn.preprocessing import StandardScaler

from stc_core.heads.head import SparseHead, mean_and_sd, rescale_head, softmax
from stc_core.probes.problem import standardise
from stc_core.types import Feature, Site

FEATURES = (
    Feature(Site(1, "mlp"), "max", 7),
    Feature(Site(3, "resid"), "mean", 0),
)
HEAD = SparseHead(
    FEATURES,
    mean=np.array([1.0, -2.0]),
    sd=np.array([2.0, 0.5]),
    weight=np.array([[1.0, 2.0], [0.0, -1.0], [3.0, 0.0]]),
    bias=np.array([0.5, 0.0, -1.0]),
    classes=("a", "b", "c"),
)


def test_logits_by_hand():
    X = np.array([[3.0, -1.5], [1.0, -2.0]])  # one sd above the mean; the mean
    np.testing.assert_allclose(HEAD.logits(X), [[3.5, -1, 2], [0.5, 0, -1]])


def test_probabilities_are_the_softmax_of_the_logits():
    X = np.random.default_rng(0).standard_normal((5, 2))
    expected = reference_softmax(HEAD.logits(X), axis=1)
    np.testing.assert_allclose(HEAD.probabilities(X), expected)


def test_layer_is_the_highest_that_is_read():
    assert HEAD.layer == 3
    assert HEAD._replace(features=FEATURES[:1]).layer == 1
    assert HEAD._replace(features=()).layer == 0


def test_importance_sums_squares_over_classes():
    np.testing.assert_allclose(HEAD.importance, [10, 5])


def test_cooling_divides_the_logits_and_nothing_else():
    X = np.random.default_rng(1).standard_normal((5, 2))
    cooled = HEAD.cooled(4.0)
    np.testing.assert_allclose(cooled.logits(X), HEAD.logits(X) / 4)
    assert cooled.features == HEAD.features and cooled.classes == HEAD.classes


def test_a_value_outside_the_range_counts_as_its_nearer_end():
    head = HEAD._replace(low=np.array([0.0, -3.0]), high=np.array([2.0, -1.0]))
    X = np.array([[3.0, -1.5], [-9.0, 4.0], [1.0, -2.0]])
    inside = np.array([[2.0, -1.5], [0.0, -1.0], [1.0, -2.0]])
    np.testing.assert_array_equal(head.within_range(X), inside)
    np.testing.assert_allclose(head.logits(X), HEAD.logits(inside))
    np.testing.assert_allclose(
        head.only(1).standardised(X[:, 1:]), head.standardised(X)[:, 1:]
    )


def test_rescaling_keeps_the_logits_and_leaves_no_range():
    X = np.random.default_rng(0).standard_normal((40, 2)) * [3, 0.1] + [1, -2]
    ranged = HEAD._replace(low=X.min(axis=0), high=X.max(axis=0))
    found = rescale_head(ranged, X)
    np.testing.assert_allclose(found.logits(X), HEAD.logits(X), atol=1e-5)
    np.testing.assert_allclose(found.mean, X.mean(axis=0), atol=1e-6)
    assert found.range == {} and ranged.range.keys() == {"low", "high"}


def test_softmax_survives_large_logits():
    P = softmax(np.array([[1e4, 0.0], [-1e4, -1e4]]))
    np.testing.assert_allclose(P, [[1, 0], [0.5, 0.5]])


def test_standard_equals_scikit_learn():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 4)) * [1, 10, 0.01, 3] + [0, 5, 2, -100]
    weight = rng.uniform(0.1, 2, 50)
    for given in (None, weight):
        scaler = StandardScaler().fit(X, sample_weight=given)
        mean, sd = mean_and_sd(X, given)
        np.testing.assert_allclose(mean, np.asarray(scaler.mean_, float), rtol=1e-5)
        np.testing.assert_allclose(sd, np.asarray(scaler.scale_, float), rtol=1e-5)


@pytest.mark.parametrize("n", [9, 20_000])
@pytest.mark.parametrize("value", [0.0, 3.7, 0.1, -1e4, 1e-9])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_flat_column_has_sd_one(value, n, weighted):
    X = np.random.default_rng(0).standard_normal((n, 3)).astype(np.float32)
    X[:, 1] = value
    X[::2, 1] = np.nextafter(X[::2, 1], np.float32(9e9))  # in its last place
    weight = np.random.default_rng(1).uniform(0.2, 5, n).astype(np.float32)
    mean, sd = mean_and_sd(X, weight if weighted else None)
    assert sd[1] == 1 and (sd[[0, 2]] != 1).all()
    np.testing.assert_allclose(mean[1], value, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("value", [3.7, -1e4])
def test_probes_and_heads_call_the_same_columns_flat(value):
    X = np.full((400, 12), value, np.float32)
    spread = value * np.geomspace(1e-8, 1e-3, 12)
    X += np.where(np.arange(400) % 2, 1, -1)[:, None] * spread
    of_probe, of_head = standardise(X)[2] == 1, mean_and_sd(X)[1] == 1
    np.testing.assert_array_equal(of_probe, of_head)
    assert of_head[0] and not of_head[-1]
