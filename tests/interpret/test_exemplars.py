"""Which texts stand for a neuron, and the neuron's value on each of their tokens."""

import numpy as np
import pytest
import torch

from stc_core.backbone.tokenization.tokens import Span, Tokens
from stc_core.interpret.exemplars import (
    BANDS,
    LOWEST,
    RANDOM,
    TOP,
    activations_by_token,
    pick_texts,
    pooled_value,
    rank_in_words,
    shading,
)
from stc_core.interpret.explanation import Token
from stc_core.types import Site

SITE = Site(1, "mlp")
RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=400)
TEXTS = [f"{chr(97 + row % 20)} {chr(97 + row // 20)} text" for row in range(400)]


def test_the_highest_and_the_lowest_are_what_they_say():
    found = pick_texts(VALUES, TEXTS)
    order = np.argsort(VALUES)
    assert found.loc[found["group"] == TOP, "row"].tolist() == order[::-1][:8].tolist()
    assert found.loc[found["group"] == LOWEST, "row"].tolist() == order[:8].tolist()
    np.testing.assert_array_equal(found["value"], VALUES[found["row"]])


@pytest.mark.parametrize("band", BANDS)
def test_a_band_is_between_its_quantiles(band):
    found = pick_texts(VALUES, TEXTS)
    values = found.loc[found["group"] == band, "value"]
    low, high = np.quantile(VALUES, BANDS[band])
    assert len(values) == 4
    assert values.between(low - 0.02, high + 0.02).all()
    assert values.is_monotonic_decreasing


def test_same_seed_same_texts():
    assert pick_texts(VALUES, TEXTS, seed=3).equals(pick_texts(VALUES, TEXTS, seed=3))
    one, other = pick_texts(VALUES, TEXTS, seed=3), pick_texts(VALUES, TEXTS, seed=4)
    rows = [set(x.loc[x["group"] == RANDOM, "row"]) for x in (one, other)]
    assert rows[0] != rows[1]


def test_no_text_twice_in_a_group():
    found = pick_texts(np.arange(6.0), ["A b", "a  B", "c", "C", "c ", "d"])
    assert found.loc[found["group"] == TOP, "row"].tolist() == [5, 4, 1]


def test_texts_of_nearly_the_same_words_are_one():
    texts = [
        "my order 123 never came to me",
        "My order 77 never came to me!",
        "never came to me, my order 5",
        "my order 5 came",
        "???",
        "!",
    ]
    found = pick_texts(np.arange(6.0)[::-1], texts)
    top = found.loc[found["group"] == TOP]
    assert top["row"].tolist() == [0, 3, 4, 5]
    assert top["alike"].tolist() == [(1, 2), (), (), ()]


def test_those_after_the_last_one_shown_are_counted_until_another_one():
    texts = ["a b", "c d", "a b", "e f", "a b"]
    found = pick_texts(np.arange(5.0)[::-1], texts, n_top=2)
    assert found.loc[found["group"] == TOP, "alike"].tolist() == [(2,), ()]


def test_one_text_is_enough():
    found = pick_texts(np.array([1.0]), ["only"])
    assert {TOP, LOWEST, RANDOM} <= set(found["group"])
    assert set(found["row"]) == {0}


def row(*values: float, special: float = 0.0) -> list[Token]:
    return [
        Token(0, 0, "[CLS]", special),
        *(Token(i, i + 1, "x", v) for i, v in enumerate(values)),
    ]


def test_shades_start_at_zero_and_ignore_specials():
    assert shading([row(-0.1, 2.0, special=50.0), row(1.0)]) == (0.0, 2.0)


def test_shades_of_a_neuron_with_two_signs_start_at_its_median():
    assert shading([row(-3.0, -1.0, 2.0)]) == (-1.0, 2.0)


def test_shades_where_only_specials_are_active():
    assert shading([row(0.0, 0.0, special=4.0)]) == (0.0, 4.0)
    assert shading([]) == (0.0, 0.0)


class Letters:
    """A backbone that reads letters; neuron j at letter t has the value 10 t + j."""

    def __init__(self, *, shifted: bool) -> None:
        self.shifted = shifted

    def tokenize(self, texts):
        return Tokens([np.arange(len(text)) for text in texts], 0)

    def spans(self, text):
        return [Span(at, at + 1, letter) for at, letter in enumerate(text)]

    def reads_shifted(self, site):
        return self.shifted

    def token_activations(self, ids, sites):
        grid = torch.arange(3.0)
        return [
            {site: 10.0 * torch.as_tensor(one)[:, None] + grid for site in sites}
            for one in ids
        ]


def test_each_token_gets_the_value_at_its_position():
    first, second = activations_by_token(
        Letters(shifted=False), ["ab", "c"], site=SITE, index=2
    )
    assert first == [Token(0, 1, "a", 2.0), Token(1, 2, "b", 12.0)]
    assert second == [Token(0, 1, "c", 2.0)]


def test_a_decoder_behind_an_encoder_reads_one_token_late():
    (found,) = activations_by_token(Letters(shifted=True), ["ab"], site=SITE, index=0)
    assert found == [Token(0, 0, "[start]", 0.0), Token(0, 1, "a", 10.0)]


@pytest.mark.parametrize(
    ("pooling", "value"), [("first", 9.0), ("last", 1.0), ("max", 9.0), ("mean", 4.0)]
)
def test_a_pooled_value_is_of_all_tokens(pooling, value):
    assert pooled_value(row(2.0, 1.0, special=9.0), pooling) == value


def test_where_a_value_stands():
    assert rank_in_words(3.0, np.array([1.0, 2.0, 3.0, 4.0])) == (
        "higher than 50 % of 4 texts"
    )
