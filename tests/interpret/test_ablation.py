"""Ablation by hand on a tiny head, and against activations with the mean put in."""

import numpy as np
import pytest

from stc_core.heads.head import SparseHead
from stc_core.interpret.ablation import ablate_readout, ablation_effect, flipped_answers
from stc_core.types import Feature, Site

SITE = Site(1, "mlp")


def head_of(weight: np.ndarray, **more) -> SparseHead:
    n = weight.shape[1]
    head = SparseHead(
        tuple(Feature(SITE, "max", j) for j in range(n)),
        np.zeros(n),
        np.ones(n),
        weight,
        np.zeros(len(weight)),
        tuple("abcd"[: len(weight)]),
    )
    return head._replace(**more)


def test_by_hand():
    head = head_of(
        np.array([[2.0, 0.0], [0.0, 1.0]]),
        mean=np.array([1.0, 0.0]),
        sd=np.array([2.0, 1.0]),
    )
    X = np.array([[5.0, 3.0], [1.0, -1.0]])
    logits = head.logits(X)
    np.testing.assert_allclose(logits, [[4, 3], [0, -1]])
    after = ablate_readout(head, logits, X[:, 0], 0)
    np.testing.assert_allclose(after, [[0, 3], [0, -1]])


@pytest.mark.parametrize("ranged", [False, True])
def test_it_equals_activations_at_the_mean(ranged):
    rng = np.random.default_rng(0)
    head = head_of(
        rng.standard_normal((4, 6)),
        mean=rng.standard_normal(6),
        sd=rng.uniform(0.5, 2, 6),
        bias=rng.standard_normal(4),
    )
    if ranged:
        head = head._replace(low=head.mean - 1, high=head.mean + 0.5)
    X = rng.standard_normal((30, 6)) * 3
    for neuron in range(6):
        away = X.copy()
        away[:, neuron] = head.mean[neuron]
        after = ablate_readout(head, head.logits(X), X[:, neuron], neuron)
        np.testing.assert_allclose(after, head.logits(away), atol=1e-12)


BEFORE = np.array([[2.0, 1.0], [2.0, 0.0], [0.0, 1.0], [0.0, 5.0]])
AFTER = np.array([[0.0, 1.0], [2.0, 0.0], [2.0, 1.0], [9.0, 5.0]])


def test_the_toll_counts_each_way():
    found = ablation_effect(np.array([0, 0, 0, 1]), BEFORE, AFTER)
    assert found == (4, 0.75, 0.5, 3, 2, 1)
    assert found.after - found.before == (found.gained - found.lost) / found.n


def test_no_text_has_no_accuracy():
    found = ablation_effect(np.zeros(0, int), BEFORE[:0], AFTER[:0])
    assert found.n == found.changed == 0
    assert np.isnan(found.before)


def test_what_changed_comes_by_the_lead_it_had():
    found = flipped_answers(head_of(np.zeros((2, 1))), BEFORE, AFTER)
    assert found["place"].tolist() == [3, 0, 2]
    assert found["before"].tolist() == ["b", "a", "b"]
    assert found["after"].tolist() == ["a", "b", "a"]
    assert flipped_answers(head_of(np.zeros((2, 1))), BEFORE, BEFORE).empty


@pytest.mark.parametrize("neuron", [0, 1])
def test_a_neuron_at_its_mean_changes_nothing(neuron):
    head = head_of(np.ones((2, 2)))
    logits = head.logits(np.zeros((3, 2)))
    assert (ablate_readout(head, logits, np.zeros(3), neuron) == logits).all()
