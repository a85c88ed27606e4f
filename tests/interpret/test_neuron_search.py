"""Which neurons fire: on a text as pooled, on a word as its tokens say."""

import numpy as np
import pytest

from helpers.models.tiny import tiny_backbone
from stc_core.activations.extract import extract_features
from stc_core.heads.head import SparseHead
from stc_core.interpret.explanation import Token
from stc_core.interpret.neuron_search import (
    TokenValues,
    Usual,
    on_text,
    on_word,
    token_values_of,
    usual_values,
)
from stc_core.types import Feature, Site

TEXTS = ["good day", "a bad film never good", "very slow support"]


def head_of(sites: list[Site]) -> SparseHead:
    features = tuple(Feature(site, "max", j) for site in sites for j in (3, 1))
    n = len(features)
    return SparseHead(
        features, np.zeros(n), np.ones(n), np.ones((2, n)), np.zeros(2), ("a", "b")
    )


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_values_are_those_that_pooling_reads(family):
    backbone = tiny_backbone(family)
    head = head_of([Site(1, "mlp"), Site(2, "resid")])
    X = extract_features(backbone, TEXTS, head.features)
    for one, row in zip(token_values_of(backbone, head, TEXTS), X, strict=True):
        np.testing.assert_allclose(one.values.max(axis=0), row, atol=1e-5)
        assert len(one.tokens) == len(one.values)


def test_a_decoder_behind_an_encoder_speaks_of_the_token_it_read():
    backbone = tiny_backbone("t5")
    site = backbone.sites[-1]
    assert backbone.reads_shifted(site)
    (one,) = token_values_of(backbone, head_of([site]), TEXTS[:1])
    ids = backbone.tokenize(TEXTS[:1]).ids
    raw = backbone.token_activations(ids, [site])[0][site].numpy()[:, [3, 1]]
    np.testing.assert_array_equal(one.values[:-1], raw[1:])
    assert np.isnan(one.values[-1]).all()


def test_what_is_usual_leaves_special_tokens_out():
    backbone, head = tiny_backbone("bert"), head_of([Site(1, "mlp")])
    found = usual_values(backbone, head, TEXTS)
    parts = [one.values[1:-1] for one in token_values_of(backbone, head, TEXTS)]
    every = np.concatenate(parts)
    assert found.n == len(every) == 2 + 5 + 3
    np.testing.assert_allclose(found.mean, every.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found.sd, every.std(0), rtol=1e-5)


def test_neurons_of_a_text_come_by_deviations_above_their_mean():
    head = head_of([Site(1, "mlp")])._replace(
        mean=np.array([1.0, 0.0]), sd=np.array([0.5, 4.0])
    )
    found = on_text(head, np.array([3.0, 2.0]))
    assert found["neuron"].tolist() == [0, 1]
    assert found["sds"].tolist() == [4.0, 0.5]
    assert found["value"].tolist() == [3.0, 2.0]


TOKENS = (
    Token(0, 0, "<s>", 0.0),
    Token(0, 3, "ref", 0.0),
    Token(3, 6, "und", 0.0),
    Token(7, 10, "now", 0.0),
)
VALUES = np.array([[99, 99], [1, 5], [2, np.nan], [50, 50]], np.float32)


def test_a_word_is_the_highest_of_its_tokens():
    usually = Usual(9, np.array([0.0, 4.0]), np.array([1.0, 0.1]))
    found = on_word(TokenValues(TOKENS, VALUES), 0, 6, usually)
    assert found["neuron"].tolist() == [1, 0]
    assert found["value"].tolist() == [5.0, 2.0]
    assert found["sds"].tolist() == pytest.approx([10.0, 2.0])


def test_a_neuron_that_is_always_the_same_does_not_stand_out():
    usually = Usual(9, np.zeros(2), np.array([np.inf, 1.0]))
    assert on_word(TokenValues(TOKENS, VALUES), 0, 6, usually)["neuron"].tolist() == [
        1,
        0,
    ]
