"""Contributions by hand; whatever the pooling they sum to the logit."""

import numpy as np
import pytest
import torch

from stc_core.backbone.pooling import pool
from stc_core.heads.attribution import (
    by_layer,
    contributions,
    pooled_values,
    token_shares,
)
from stc_core.heads.head import SparseHead
from stc_core.poolings import POOLING_RULES
from stc_core.types import Feature, Pooling, Site

MLP, RESID = Site(1, "mlp"), Site(2, "resid")


def head_of(features: tuple[Feature, ...], *, K: int = 3, seed: int = 0) -> SparseHead:
    rng = np.random.default_rng(seed)
    n = len(features)
    return SparseHead(
        features,
        rng.standard_normal(n),
        rng.uniform(0.5, 2, n),
        rng.standard_normal((K, n)),
        rng.standard_normal(K),
        tuple("abc"[:K]),
    )


def one(pooling: Pooling) -> SparseHead:
    """Neuron 0 of mlp.1 with mean 1, sd 2; weights 4 and -2."""
    return SparseHead(
        (Feature(MLP, pooling, 0),),
        np.array([1.0]),
        np.array([2.0]),
        np.array([[4.0], [-2.0]]),
        np.array([0.0, 10.0]),
        ("a", "b"),
    )


ACTIVATIONS = np.array([[5.0], [2.0], [9.0], [9.0]], np.float32)
BY_HAND: dict[Pooling, list[float]] = {  # shares of class a: 2 (a - 1) where it is read
    "first": [8, 0, 0, 0],
    "last": [0, 0, 0, 16],
    "max": [0, 0, 16, 0],  # the first of the two
    "mean": [2, 0.5, 4, 4],
}


@pytest.mark.parametrize("pooling", POOLING_RULES)
def test_tokens_by_hand(pooling):
    shares = token_shares(one(pooling), {MLP: ACTIVATIONS})[MLP]
    np.testing.assert_allclose(shares[:, 0], BY_HAND[pooling])
    np.testing.assert_allclose(shares[:, 1], np.array(BY_HAND[pooling]) / -2)


@pytest.mark.parametrize(
    ("pooling", "value"), [("first", 5), ("last", 9), ("max", 9), ("mean", 6.25)]
)
def test_pooled_values_by_hand(pooling, value):
    features = (Feature(MLP, pooling, 0),)
    assert pooled_values(features, {MLP: ACTIVATIONS}).tolist() == [value]


def test_contributions_by_hand():
    np.testing.assert_allclose(contributions(one("max"), np.array([9.0])), [[16], [-8]])


FEATURES = tuple(
    Feature(site, pooling, index)
    for site in (RESID, MLP)
    for pooling in POOLING_RULES
    for index in (3, 0)
)


def narrow(head: SparseHead) -> SparseHead:
    """The head with a range that most values are outside of."""
    return head._replace(low=head.mean - 0.3, high=head.mean + 0.2)


@pytest.mark.parametrize("ranged", [False, True])
def test_every_split_sums_to_the_logit(ranged):
    rng = np.random.default_rng(1)
    head = narrow(head_of(FEATURES)) if ranged else head_of(FEATURES)
    hidden = {
        site: rng.standard_normal((6, 4)).astype(np.float32) for site in (MLP, RESID)
    }
    x = pooled_values(head.features, hidden)
    logits = head.logits(x[None])[0]
    split = contributions(head, x)
    np.testing.assert_allclose(split.sum(1) + head.bias, logits, atol=1e-12)

    layers = by_layer(head.features, split)
    assert list(layers) == [1, 2]
    np.testing.assert_allclose(sum(layers.values()) + head.bias, logits, atol=1e-12)

    shares = token_shares(head, hidden)
    assert set(shares) == {MLP, RESID}
    assert all(part.shape == (6, 3) for part in shares.values())
    total = sum(part.sum(axis=0) for part in shares.values()) + head.bias
    np.testing.assert_allclose(total, logits, atol=1e-12)
    for site, layer in ((MLP, 1), (RESID, 2)):
        np.testing.assert_allclose(shares[site].sum(axis=0), layers[layer], atol=1e-12)


@pytest.mark.parametrize("pooling", POOLING_RULES)
def test_outside_the_range_tokens_share_what_the_head_counts(pooling):
    """In the same proportions: the head counts 3 where the pooled value is 5 to 9."""
    head = one(pooling)._replace(low=np.array([-1.0]), high=np.array([3.0]))
    shares = token_shares(head, {MLP: ACTIVATIONS})[MLP][:, 0]
    by_hand = np.array(BY_HAND[pooling])
    np.testing.assert_allclose(shares.sum(), 4)  # 4 (3 - 1) / 2
    np.testing.assert_allclose(shares, by_hand * 4 / by_hand.sum())


@pytest.mark.parametrize("pooling", POOLING_RULES)
def test_one_token_takes_all(pooling):
    head = head_of((Feature(MLP, pooling, 1),))
    hidden = {MLP: np.array([[0.0, 2.5]], np.float32)}
    x = pooled_values(head.features, hidden)
    shares = token_shares(head, hidden)[MLP]
    np.testing.assert_allclose(shares[0], contributions(head, x)[:, 0], atol=1e-12)


def test_poolings_agree_with_those_of_the_extraction():
    a = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)
    mask = torch.ones(1, 7, dtype=torch.bool)
    for pooling in POOLING_RULES:
        features = tuple(Feature(MLP, pooling, index) for index in range(5))
        expected = pool(torch.from_numpy(a)[None], mask, pooling)[0].numpy()
        np.testing.assert_allclose(
            pooled_values(features, {MLP: a}), expected, rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("pooling", POOLING_RULES)
def test_many_neurons_are_pooled_at_once_as_each_alone(pooling):
    rule = POOLING_RULES[pooling]
    values = np.random.default_rng(0).integers(0, 4, (5, 20)).astype(np.float64)
    alone = [rule.shares(column).tolist() for column in values.T]
    assert rule.shares(values).T.tolist() == alone
    np.testing.assert_allclose(rule.value(values), [rule.value(c) for c in values.T])
