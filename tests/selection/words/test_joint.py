"""Ridge models of neurons and words: by products of rows as by columns."""

import numpy as np
import pytest

from stc_core.data.task import Task
from stc_core.heads.least_squares import SHARPNESS
from stc_core.selection.words import joint as module
from stc_core.selection.words.candidates import find_candidates, inverse_frequency
from stc_core.selection.words.joint import (
    NeuronValues,
    fit_joint_head,
    joined,
    joint_scores,
    neuron_products,
    ranked_words,
    tf_idf,
    word_products,
)
from stc_core.types import Feature, Site

RNG = np.random.default_rng(0)
N, K = 60, 4
CODES = RNG.integers(0, 2, N)
TEXTS = [
    f"{('fine', 'poor')[code]} {' '.join(RNG.choice(list('uvwxyz'), 3))} end"
    for code in CODES
]
NEURONS = NeuronValues(
    RNG.standard_normal((N, K)).astype(np.float32) * [1, 9, 0.3, 2] + 5,
    np.array([1, 0.5, 0.2, 1], np.float32),
)
FEATURES = [Feature(Site(1, "mlp"), "max", index) for index in range(K)]
FIT, HELD = np.arange(40), np.arange(40, N)


def task(weights: bool = False) -> Task:
    from helpers.toy_features import goal_with

    goal = goal_with("balanced" if weights else None)
    return Task(CODES, ("a", "b"), FIT, HELD, goal)


@pytest.mark.parametrize("weights", [False, True])
def test_the_scores_are_those_of_the_head_on_all_columns(weights):
    """The products of rows (dual) and the fit of columns (primal) are one model."""
    of, found = task(weights), find_candidates(TEXTS, np.arange(N))
    assert found is not None
    own, norm = neuron_products(NEURONS, of, FIT, HELD)
    frequency = inverse_frequency(found.at(FIT))
    columns = np.flatnonzero(frequency)
    fit, held = (tf_idf(found.at(rows), frequency)[:, columns] for rows in (FIT, HELD))
    words, word_norm = word_products(fit, held, of.weights(FIT))
    (scores,) = joint_scores(own, words, of, FIT, shares=[0.5], ridges=[0.3])
    head, trust = fit_joint_head(
        NEURONS,
        found,
        columns,
        of,
        FEATURES,
        rows=FIT,
        scale=frequency[columns] * np.float32((0.5 * norm / word_norm) ** 0.5),
        ridge=0.3,
    )
    logits = head.head.logits(NEURONS.X[HELD]) + head.words.logits(
        [TEXTS[row] for row in HELD]
    )
    np.testing.assert_allclose(logits, SHARPNESS * scores[0], atol=2e-3)
    assert len(trust) == K + len(columns)
    assert head.head.features == tuple(FEATURES)


def test_frequent_words_are_multiplied_alike(monkeypatch):
    found = find_candidates(TEXTS, np.arange(N))
    assert found is not None
    values, weight = found.at(FIT), np.ones(len(FIT), np.float32)
    once, norm = word_products(values, values, weight)
    monkeypatch.setattr(module, "_FREQUENT", 2.0)  # all of them are rare
    again, norm_again = word_products(values, values, weight)
    np.testing.assert_allclose(once.fit, again.fit, atol=1e-5)
    assert norm == pytest.approx(norm_again, rel=1e-5)
    assert np.trace(once.fit) / len(FIT) == pytest.approx(1, rel=1e-4)


def test_the_telling_words_rank_first():
    of, found = task(), find_candidates(TEXTS, np.arange(N))
    assert found is not None
    own, _ = neuron_products(NEURONS, of, FIT, HELD)
    every = tf_idf(found.at(FIT), inverse_frequency(found.at(FIT)))
    order = ranked_words(own, every, of, FIT)
    assert {found.words[column] for column in order[:2]} == {"fine", "poor"}


def test_there_is_room_for_words_behind_the_neurons():
    head, _ = fit_joint_head(
        NEURONS,
        found := find_candidates(TEXTS, np.arange(N)),  # pyright: ignore
        np.arange(2),
        task(),
        FEATURES,
        rows=FIT,
        scale=np.ones(2, np.float32),
        ridge=1.0,
    )
    assert found is not None
    assert len(joined(head.head, 3).mean) == K + 3
