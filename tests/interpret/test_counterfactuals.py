"""Flips: found by few forwards, verified, and none of their changes can be spared."""

import re
from itertools import combinations

import numpy as np
import pytest

from helpers.frames import explanation
from stc_core.interpret.counterfactuals import (
    Change,
    changed_text,
    find_flips,
    leading_words,
)
from stc_core.interpret.explanation import Token

CLASSES = ("bad", "good")


class Counting:
    """Says 'good' by a sum over words; counts what it was asked."""

    def __init__(self, weights: dict[str, float], bias: float = -0.5) -> None:
        self.weights, self.bias, self.asked = weights, bias, []

    def __call__(self, texts):
        self.asked += texts
        return np.array([self.one(text) for text in texts])

    def one(self, text: str) -> list[float]:
        seen = re.findall(r"\w+", text)
        logit = self.bias + sum(self.weights.get(word, 0.0) for word in seen)
        good = 1 / (1 + np.exp(-logit))
        return [1 - good, good]


def words_of(text: str, model: Counting) -> list[Token]:
    return [
        Token(*m.span(), m.group(), model.weights.get(m.group().strip(), 0.0))
        for m in re.finditer(r"\S+", text)
    ]


def search(text: str, model: Counting, **more):
    return find_flips(text, words_of(text, model), model, classes=CLASSES, **more)


def test_one_word_that_decides_is_found_in_one_round():
    model = Counting({"fine": 2.0, "ok": 0.1})
    found = search("it was fine and ok", model)
    assert found.label == "good"
    assert [one.changes for one in found.flips] == [
        (Change(7, 11, "fine", "left out"),)
    ]
    assert found.flips[0].text == "it was and ok"
    assert found.flips[0].label == "bad"
    assert found.forwards == len(model.asked) == len(set(model.asked)) == 6


def test_flips_are_verified_and_none_can_be_spared():
    model = Counting({"a": 0.4, "b": 0.5, "c": 0.3, "d": 0.2, "e": -0.1}, bias=-0.45)
    text = "a b c d e x"
    found = search(text, model)
    assert found.flips
    for flip in found.flips:
        assert np.argmax(model.one(flip.text)) == 0
        assert flip.probability == pytest.approx(max(model.one(flip.text)))
        assert changed_text(text, flip.changes, None) == flip.text
        for fewer in combinations(flip.changes, len(flip.changes) - 1):
            assert np.argmax(model.one(changed_text(text, fewer, None))) == 1


def test_the_last_change_is_spared_once_others_went():
    """Left out in turn: a, b, c and d; but b and c alone do it, without a."""
    steps = {"a": 0.6, "ab": 0.55, "abc": 0.53, "abcd": 0.1, "bcd": 0.1, "bc": 0.1}

    def predict(texts: list[str]) -> np.ndarray:
        gone = ("".join(sorted(set("abcde") - set(text))) for text in texts)
        good = np.array([steps.get(words, 0.9) for words in gone])
        return np.stack([1 - good, good], axis=1)

    words = [Token(2 * i, 2 * i + 1, "abcde"[i], 0.0) for i in range(5)]
    found = find_flips("a b c d e", words, predict, classes=CLASSES)
    assert ["".join(c.word for c in one.changes) for one in found.flips] == ["bc"]


def test_words_may_be_made_blank():
    model = Counting({"fine": 2.0, "MASK": -9.0})
    found = search("so fine", model, blank="[MASK]")
    assert {one.changes[0].how for one in found.flips} == {"left out", "blank"}
    assert "so [MASK]" in [one.text for one in found.flips]


def test_none_is_found_where_words_do_not_count():
    found = search("a b c", Counting({}, bias=3.0))
    assert not found.flips
    assert found.label == "good" and found.lead > 0.8
    # One word is left: rounds of 3 and of 2 words, and the text itself.
    assert found.forwards == 1 + 3 + 2
    assert len(found.tried) == 2


@pytest.mark.parametrize("most", [1, 2, 4, 7])
def test_no_more_forwards_than_allowed(most):
    model = Counting({}, bias=3.0)
    found = search("a b c d e", model, most_forwards=most)
    assert found.forwards == len(model.asked) <= most


def test_special_tokens_are_left_alone():
    model = Counting({"fine": 2.0})
    tokens = [Token(0, 0, "[CLS]", 9.0), Token(0, 4, "fine", 2.0)]
    found = find_flips("fine", tokens, model, classes=CLASSES)
    assert not found.flips and found.forwards == 1


@pytest.mark.parametrize(
    ("text", "places", "how", "then"),
    [
        ("one two three", [(4, 7)], "left out", "one three"),
        ("one two three", [(0, 3)], "left out", "two three"),
        ("one two three", [(0, 3), (8, 13)], "left out", "two"),
        ("one two three", [(4, 7)], "blank", "one _ three"),
        ("one two three", [(3, 7)], "blank", "one _ three"),  # with its space
        ("one", [(0, 3)], "left out", ""),
    ],
)
def test_spaces_stay_single(text, places, how, then):
    changes = [Change(start, end, "", how) for start, end in places]
    assert changed_text(text, changes, "_") == then


def test_words_are_led_by_what_puts_the_label_before_the_second():
    found = leading_words(explanation())
    parts = explanation()
    lead = parts["logits"]["a"] - parts["bias"]["a"]
    second = parts["logits"]["b"] - parts["bias"]["b"]
    assert sum(word.value for word in found) == pytest.approx(lead - second)
