"""An explanation adds up: by neuron, by layer, by token and by word."""

import numpy as np
import pytest

from helpers.frames import CLASSES, explanation
from stc_core.interpret.explanation import (
    Sum,
    Token,
    check_sum,
    layer_parts,
    neuron_parts,
    special_line,
    strongest,
    sum_line,
    token_parts,
    words,
)

FOUND = explanation()


@pytest.mark.parametrize("label", CLASSES)
def test_every_split_sums_to_the_logit(label):
    logit, bias = FOUND["logits"][label], FOUND["bias"][label]
    assert check_sum(FOUND, label).total == pytest.approx(logit)
    assert check_sum(FOUND, label).exact
    for parts in (neuron_parts(FOUND, label), layer_parts(FOUND, label)):
        assert bias + float(np.sum(parts["value"])) == pytest.approx(logit)
    tokens = token_parts(FOUND, label)
    for some in (tokens, words(FOUND["text"], tokens)):
        assert bias + sum(token.value for token in some) == pytest.approx(logit)


def test_neurons_come_by_size_and_know_their_number():
    parts = neuron_parts(FOUND, "a")
    assert parts["name"].tolist() == [
        "resid.2 #6 · max",
        "resid.0 #0 · max",
        "mlp.2 #3 · max",
    ]
    assert parts["neuron"].tolist() == [2, 0, 1]


def test_layers_come_in_order_with_their_number_of_neurons():
    parts = layer_parts(FOUND, "a")
    assert parts["name"].tolist() == ["layer 0 (1 neuron)", "layer 2 (2 neurons)"]
    assert parts["value"].tolist() == pytest.approx([0.5, 0.75])


def test_the_rest_is_summed_not_dropped():
    parts = neuron_parts(FOUND, "a")
    short = strongest(parts, 1)
    assert short["name"].tolist() == ["resid.2 #6 · max", "2 other neurons"]
    assert np.sum(short["value"]) == pytest.approx(np.sum(parts["value"]))
    assert len(strongest(parts, 3)) == 3


def test_a_sum_that_is_off_says_so():
    assert sum_line(Sum(0.1, 0.9, 1.0)).endswith("sums to logit 1.000.")
    off = Sum(0.1, 0.9, 1.2)
    assert not off.exact
    assert sum_line(off).endswith("1.000, but the logit is 1.200.")


def test_pieces_of_a_word_are_joined_and_added():
    text = "un believ able"
    tokens = [
        Token(0, 0, "[CLS]", 1.0),
        Token(0, 2, "un", 0.1),
        Token(3, 6, "bel", 0.2),
        Token(6, 9, "##iev", -0.3),
        Token(9, 9, "[SEP]", 0.5),
    ]
    assert words(text, tokens) == [
        tokens[0],
        tokens[1],
        Token(3, 9, "believ", 0.2 - 0.3),
        tokens[4],
    ]


def test_tokens_that_hold_their_space_start_a_word():
    tokens = [Token(0, 3, "one", 1.0), Token(3, 7, " two", 2.0), Token(7, 9, "x", 3.0)]
    assert [word.text for word in words("one twoxx", tokens)] == ["one", " twoxx"]


def test_specials_name_their_share():
    tokens = [Token(0, 0, "[CLS]", -1.0), Token(0, 1, "a", 3.0)]
    assert special_line(tokens).startswith("Special tokens ([CLS]) carry 25 %")
    assert special_line(tokens[1:]) == ""
    assert special_line([Token(0, 0, "[CLS]", 0.0)]) == ""
