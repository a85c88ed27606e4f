"""An explanation adds up: by neuron, by layer, by token and by word."""

import numpy as np
import pytest

from helpers.frames import CLASSES, explanation
from stc_core.interpret.explanation import (
    Segment,
    Sum,
    Token,
    check_sum,
    layer_parts,
    neuron_parts,
    segments,
    special_line,
    strongest,
    sum_line,
    token_parts,
    units,
    unknown_line,
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


def test_white_space_with_a_token_of_its_own_joins_the_word_that_follows():
    tokens = [Token(0, 1, "a", 1.0), Token(1, 2, " ", 2.0), Token(2, 4, " b", 4.0)]
    assert words("a  b", tokens) == [tokens[0], Token(1, 4, "  b", 6.0)]


def test_letters_that_are_not_read_separate_words_and_invisible_ones_do_not():
    tokens = [Token(0, 1, "a", 1.0), Token(2, 3, "c", 2.0)]
    assert words("a한c", tokens) == tokens
    assert words("a\u00adc", tokens) == [Token(0, 3, "a\u00adc", 3.0)]


def test_tokens_that_share_characters_are_one_unit():
    """The bytes of "é" and "b", of which the model reads "éb" in three tokens."""
    text = "éb c"
    tokens = [
        Token(0, 1, "é", 1.0),
        Token(0, 2, "éb", 2.0, unknown=True),
        Token(3, 4, "c", 4.0),
        Token(4, 4, "</s>", 8.0),
    ]
    merged = Token(0, 2, "éb", 3.0, unknown=True)
    assert units(text, tokens) == [merged, *tokens[2:]]
    assert units(text, tokens, max)[0].value == 2.0
    assert segments(text, units(text, tokens)) == [
        Segment("éb", merged),
        Segment(" ", None),
        Segment("c", tokens[2]),
    ]
    assert unknown_line(tokens) and not unknown_line(tokens[2:])


def test_what_no_token_stands_for_is_unread_except_white_space():
    parts = segments("a b", [Token(0, 0, "[CLS]", 1.0)])
    assert parts == [Segment("a b", None)] and parts[0].unread
    assert not Segment(" \n", None).unread
    assert segments("", []) == []
    with pytest.raises(AssertionError):
        segments("ab", [Token(0, 2, "ab", 1.0), Token(1, 2, "b", 1.0)])


def test_specials_name_their_share():
    tokens = [Token(0, 0, "[CLS]", -1.0), Token(0, 1, "a", 3.0)]
    assert special_line(tokens).startswith("Special tokens ([CLS]) carry 25 %")
    assert special_line(tokens[1:]) == ""
    assert special_line([Token(0, 0, "[CLS]", 0.0)]) == ""


def with_words():
    """The explanation of a classifier that also reads two words."""
    words = [
        {
            "word": name,
            "places": [],
            "value": 0.5,
            "contribution": dict(zip(CLASSES, v, strict=True)),
        }
        for name, v in (("lost", (9.0, -1.0, 0.5)), ("card lost", (0.25, 2.0, 0.0)))
    ]
    logits = {
        label: FOUND["logits"][label] + sum(w["contribution"][label] for w in words)
        for label in CLASSES
    }
    return {**FOUND, "words": words, "logits": logits}


@pytest.mark.parametrize("label", CLASSES)
def test_words_take_part_in_every_sum(label):
    told = with_words()
    assert check_sum(told, label).exact
    for parts in (neuron_parts(told, label), layer_parts(told, label)):
        total = told["bias"][label] + float(np.sum(parts["value"]))
        assert total == pytest.approx(told["logits"][label])


def test_words_stand_among_the_neurons_and_behind_the_layers():
    told = with_words()
    first = neuron_parts(told, CLASSES[0]).iloc[0]
    assert first["name"] == "“lost”" and np.isnan(first["neuron"])
    assert layer_parts(told, CLASSES[0])["name"].iloc[-1] == "words (2)"
    assert (
        strongest(neuron_parts(told, CLASSES[0]), 1)["name"]
        .iloc[-1]
        .endswith("other parts")
    )
