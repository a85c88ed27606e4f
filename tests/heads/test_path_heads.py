"""One linear head for whole paths, and the weights of the coarser levels."""

import numpy as np
import pytest

from stc_core.classifiers.label_tree import tree_of
from stc_core.heads.head import SparseHead, softmax
from stc_core.heads.path_heads import (
    ALPHAS,
    path_head,
    path_logits,
    weigh_levels,
)
from stc_core.metrics.scores import accuracy
from stc_core.types import Feature, Site

TREE = tree_of(
    np.array([(a, f"{a}{b}", f"{a}{b}{c}") for a in "xy" for b in "12" for c in "pq"])
)
ABOVE = TREE.lineage(2)


def head(level: int, features: list[Feature], *, ranged: bool = True) -> SparseHead:
    rng, d = np.random.default_rng(level), len(features)
    n_class = TREE.sizes[level]
    return SparseHead(
        tuple(features),
        rng.standard_normal(d).astype(np.float32),
        rng.uniform(0.5, 2, d).astype(np.float32),
        rng.standard_normal((n_class, d)).astype(np.float32),
        rng.standard_normal(n_class).astype(np.float32),
        TREE.names(level),
        low=np.full(d, -1.5, np.float32) if ranged else None,
        high=np.full(d, 1.5, np.float32) if ranged else None,
    )


def features(*places: tuple[int, int]) -> list[Feature]:
    return [Feature(Site(layer, "resid"), "mean", index) for layer, index in places]


LEVELS = [
    head(0, features((1, 0), (1, 1))),
    head(1, features((1, 1), (2, 3))),
    head(2, features((3, 0), (1, 1), (2, 3))),
]


@pytest.mark.parametrize("ranged", [True, False])
def test_the_joint_head_says_the_weighted_sum_of_all_heads(ranged: bool):
    """Neurons that several heads read, with other means and deviations, are joined."""
    heads = LEVELS if ranged else [one.without_range() for one in LEVELS]
    alphas = (0.3, 0.75)
    joint = path_head(ABOVE, heads, alphas)
    places = [(1, 0), (1, 1), (2, 3), (3, 0)]
    assert list(joint.features) == features(*places)
    X = 2 * np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32)
    column = {feature: n for n, feature in enumerate(joint.features)}
    own = [one.logits(X[:, [column[f] for f in one.features]]) for one in heads]
    expected = path_logits(ABOVE, own, alphas)
    by_hand = own[2] + 0.3 * own[0][:, [0] * 4 + [1] * 4]
    by_hand += 0.75 * own[1][:, [0, 0, 1, 1, 2, 2, 3, 3]]
    np.testing.assert_allclose(expected, by_hand, atol=1e-5)
    np.testing.assert_allclose(joint.logits(X), expected, atol=1e-4)
    assert joint.classes == TREE.names(2)


def test_a_head_without_weight_is_not_read():
    joint = path_head(ABOVE, LEVELS, (0.5, 0.0))
    assert len(joint.features) == 4 and joint.layer == 3
    alone = path_head(ABOVE, LEVELS, (0.0, 0.0))
    assert sorted(alone.features) == sorted(LEVELS[2].features)
    X = np.random.default_rng(0).standard_normal((9, 3)).astype(np.float32)
    order = [LEVELS[2].features.index(f) for f in alone.features]
    np.testing.assert_allclose(
        alone.logits(X[:, order]), LEVELS[2].logits(X), atol=1e-5
    )


def test_a_neuron_with_another_range_is_read_twice():
    other = LEVELS[1]._replace(high=np.full(2, 0.5, np.float32))
    joint = path_head(ABOVE, [LEVELS[0], other, LEVELS[2]], (0.0, 1.0))
    assert len(joint.features) == 5
    X = 2 * np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)
    places = {f: n for n, f in enumerate(features((1, 0), (1, 1), (2, 3), (3, 0)))}

    def read(one: SparseHead) -> np.ndarray:
        return one.logits(X[:, [places[f] for f in one.features]])

    expected = path_logits(
        ABOVE, [read(LEVELS[0]), read(other), read(LEVELS[2])], (0.0, 1.0)
    )
    np.testing.assert_allclose(read(joint), expected, atol=1e-4)


def of_answers(y: np.ndarray, logits: np.ndarray) -> float:
    return accuracy(y, logits.argmax(axis=1))


def answers(level: int, codes: np.ndarray, sure: float, seed: int) -> np.ndarray:
    """Logits that know the node of a level more or less surely."""
    logits = np.random.default_rng(seed).standard_normal(
        (len(codes), TREE.sizes[level])
    )
    logits[np.arange(len(codes)), TREE.ancestors(level)[codes]] += sure
    return logits


CODES = np.random.default_rng(5).integers(8, size=400)


def weighed(*sure: float):
    """The logits of the levels, and what `weigh_levels` makes of them."""
    logits = [answers(n, CODES, value, n) for n, value in enumerate(sure)]
    codes = TREE.ancestors(len(sure) - 1)[CODES]
    weight = np.ones(len(codes))
    above = TREE.lineage(len(sure) - 1)
    return logits, weigh_levels(above, logits, codes, weight=weight, score=of_answers)


def test_weights_are_those_with_the_lowest_loss():
    logits, found = weighed(3.0, 0.0, 2.0)
    assert found.alphas[0] > 0.5 > found.alphas[1]
    losses: dict[tuple[float, ...], float] = {
        alphas: -np.log(
            softmax(path_logits(ABOVE, logits, alphas))[np.arange(400), CODES]
        ).mean()
        for alphas in [(a, b) for a in ALPHAS for b in ALPHAS]
    }
    assert losses[found.alphas] == min(losses.values())
    before = accuracy(CODES, logits[2].argmax(axis=1))
    after = accuracy(CODES, path_logits(ABOVE, logits, found.alphas).argmax(axis=1))
    assert after > before + 0.05


def test_coarse_heads_that_know_nothing_are_not_heard():
    assert weighed(0.0, 0.0, 2.0)[1].alphas == (0, 0)
    assert weighed(2.0)[1].alphas == ()


def test_weights_that_make_more_mistakes_are_not_taken():
    """Row 0 counts for nearly all of the loss, but each row counts as a mistake."""
    logits, _ = weighed(3.0, 0.0, 2.0)
    logits[0][1:] *= -3
    weight = np.full(400, 1e-6)
    weight[0] = 1.0
    base = of_answers(CODES, logits[2])
    joint = {(a, 0.0): path_logits(ABOVE, logits, (a, 0.0)) for a in ALPHAS}
    loss = {alphas: -np.log(softmax(z)[0, CODES[0]]) for alphas, z in joint.items()}
    lowest = min(loss, key=lambda alphas: loss[alphas])
    assert of_answers(CODES, joint[lowest]) < base
    found = weigh_levels(ABOVE, logits, CODES, weight=weight, score=of_answers)
    assert of_answers(CODES, path_logits(ABOVE, logits, found.alphas)) >= base


def test_weights_that_lower_the_score_are_not_taken():
    logits, found = weighed(3.0, 0.0, 2.0)
    assert any(found.alphas)
    ones, flat = np.ones(400), logits[2].copy()

    def likes_flat(y: np.ndarray, combined: np.ndarray) -> float:
        return float(np.allclose(combined, flat))

    other = weigh_levels(ABOVE, logits, CODES, weight=ones, score=likes_flat)
    assert other.alphas == (0, 0)
